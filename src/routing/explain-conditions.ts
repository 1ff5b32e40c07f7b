// Which conditions of a route a request does not meet, in words.

import type { Conditions, ValueCondition } from "../model/conditions.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import { preparedValue } from "./prepared-conditions.ts";
import type { RequestFacts } from "./request-facts.ts";

const nothing = new Uint8Array(0);

/** `header x-canary is not "1" and the method is GET, not POST`; undefined: all hold. */
export function whyConditionsFail(
  { route: { match } }: CompiledRoute,
  { method }: { readonly method: string },
  facts: RequestFacts,
): string | undefined {
  if (match.kind === "tcp" || match.when === undefined) return undefined;
  const { methods, headers, query } = match.when;
  const reasons = [
    ...(methods.length === 0 || methods.includes(method)
      ? []
      : [`the method is ${method}, not ${methods.join(" or ")}`]),
    ...failed(headers, "header", (sought) => facts.hasField(nothing, sought)),
    ...failed(query, "query parameter", (sought) => facts.hasParameter(nothing, sought)),
  ];
  return reasons.length === 0 ? undefined : reasons.join(" and ");
}

function failed(
  conditions: Conditions["headers"],
  noun: string,
  has: (sought: ReturnType<typeof preparedValue>) => boolean,
): string[] {
  return conditions.flatMap((condition) => {
    const sought = preparedValue(condition);
    if (has(sought) === sought.isWanted) return [];
    const isThere = has(preparedValue({ ...condition, op: "present" }));
    return [whyOneFails(condition, noun, isThere)];
  });
}

function whyOneFails({ name, op, value }: ValueCondition, noun: string, isThere: boolean): string {
  if (op === "absent") return `there is a ${noun} ${name}`;
  if (!isThere) return `there is no ${noun} ${name}`;
  const shown = JSON.stringify(value);
  return op === "prefix"
    ? `${noun} ${name} does not begin with ${shown}`
    : `${noun} ${name} is not ${shown}`;
}
