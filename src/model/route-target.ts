// Whether what a route says fits together: that somebody answers, and only one, and that nothing in it is idle.

import { invalidField } from "./errors.ts";
import { Fields, inside } from "./fields.ts";
import type { RouteOptions } from "./route-options.ts";

/** What is there and what is not; whether each is right by itself is asked elsewhere. */
export interface TargetShape {
  readonly match: { readonly kind: "http" | "tcp" };
  readonly service: unknown;
  readonly sticky: boolean;
  readonly options?: { readonly [Name in keyof RouteOptions]?: unknown } | undefined;
}

/**
 * Throws "invalid-argument" when nobody would answer, or two would, or an option is not for this kind of route, or
 * could never do anything; naming every field that is in the way.
 */
export function checkTarget(route: TargetShape, field: string): void {
  const fields = new Fields();
  const wrong = (name: string, description: string): void => {
    fields.read(() => {
      throw invalidField(inside(field, name), description);
    });
  };
  const { split, redirect, answer, rewrite, mirror, pages, retry, timeoutMs } = route.options ?? {};
  const forwarding = { rewrite, mirror, retry, timeout: timeoutMs };
  const hasService = route.service !== undefined;
  const isTcp = route.match.kind === "tcp";
  if (isTcp) {
    if (route.sticky) wrong("sticky", "works with cookies, which TCP routes do not have");
    for (const [name, value] of Object.entries({ redirect, answer, ...forwarding, pages })) {
      if (value !== undefined) wrong(name, "is for HTTP routes; a TCP route has bytes only");
    }
  }
  if (hasService && split !== undefined) {
    wrong("split", "stands in place of service: name one of them");
  }
  if (answer !== undefined && (hasService || split !== undefined || redirect !== undefined)) {
    wrong("answer", "stands in place of service, split and redirect");
  } else if (!hasService && split === undefined) {
    if (answer === undefined && redirect === undefined) {
      wrong(
        "service",
        isTcp ? "is required, or a split" : "is required, or a split, a redirect or an answer",
      );
    } else if (!isTcp) {
      for (const [name, value] of Object.entries({ sticky: route.sticky, ...forwarding })) {
        if (value !== undefined && value !== false) wrong(name, "needs a service, or a split");
      }
    }
  }
  fields.throwIfWrong();
}
