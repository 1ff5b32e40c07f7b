// Which conditions of a route a request does not meet, in words.

import type { Conditions, ValueCondition } from "../model/conditions.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import { isWanted } from "./conditions-hold.ts";
import type { RequestFacts } from "./request-facts.ts";

const nothing = new Uint8Array(0);

/** `the method is GET, not POST, and header x-canary is not "1"`; undefined: all hold. */
export function whyConditionsFail(
  { when }: CompiledRoute,
  { method }: { readonly method: string },
  facts: RequestFacts,
): string | undefined {
  if (when === undefined) return undefined;
  const { methods, headers, query } = when;
  const reasons = [
    ...(methods.length === 0 || methods.includes(method)
      ? []
      : [`the method is ${method}, not ${methods.join(" or ")}`]),
    ...failed(headers, "header", (sought) => facts.hasField(nothing, sought)),
    ...failed(query, "query parameter", (sought) => facts.hasParameter(nothing, sought)),
  ];
  return reasons.length === 0 ? undefined : reasons.join(", and ");
}

function failed(
  conditions: Conditions["headers"],
  noun: string,
  has: (sought: ValueCondition) => boolean,
): string[] {
  return conditions.flatMap((condition) => {
    if (has(condition) === isWanted(condition)) return [];
    const isThere = has({ ...condition, op: "present" });
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
