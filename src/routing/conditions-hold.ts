// Whether the conditions of a route hold for a request. Asked while a route is looked for: nothing is allocated.

import type { Conditions, ValueCondition } from "../model/conditions.ts";
import type { RequestFacts } from "./request-facts.ts";

/** Whether all of them do. */
export function conditionsHold(
  { methods, headers, query }: Conditions,
  bytes: Uint8Array,
  facts: RequestFacts,
): boolean {
  if (methods.length > 0 && !isOneOf(methods, bytes, facts)) return false;
  for (let i = 0; i < headers.length; i++) {
    const one = headers[i]!;
    if (facts.hasField(bytes, one) !== isWanted(one)) return false;
  }
  for (let i = 0; i < query.length; i++) {
    const one = query[i]!;
    if (facts.hasParameter(bytes, one) !== isWanted(one)) return false;
  }
  return true;
}

/** Whether a line or parameter that fits is what the condition asks for; else it asks for none. */
export function isWanted({ op }: ValueCondition): boolean {
  return op !== "absent";
}

function isOneOf(methods: readonly string[], bytes: Uint8Array, facts: RequestFacts): boolean {
  for (let i = 0; i < methods.length; i++) if (facts.hasMethod(bytes, methods[i]!)) return true;
  return false;
}

/** The same conditions; they are canonical, so that their order counts. Quick to say no. */
export function sameConditions(a: Conditions | undefined, b: Conditions | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined || a.methods.length !== b.methods.length) return false;
  return (
    a.methods.every((method, i) => method === b.methods[i]) &&
    sameValues(a.headers, b.headers) &&
    sameValues(a.query, b.query)
  );
}

function sameValues(a: readonly ValueCondition[], b: readonly ValueCondition[]): boolean {
  return (
    a.length === b.length &&
    a.every((one, i) => {
      const other = b[i]!;
      return one.value === other.value && one.name === other.name && one.op === other.op;
    })
  );
}
