// The conditions of a route as requests are held against them: bytes, made once when the route is compiled.

import type { Conditions, ValueCondition } from "../model/conditions.ts";
import type { MatchKey } from "../model/route.ts";
import type { RequestFacts, ValueSought } from "./request-facts.ts";

/** A line or parameter that must be there, or must not. */
export interface PreparedValue extends ValueSought {
  readonly isWanted: boolean;
}

const encoder = new TextEncoder();
const nothing = new Uint8Array(0);

export class PreparedConditions {
  /** Of the whole match: tells two routes of one place apart. */
  readonly matchKey: MatchKey;
  readonly #methods: readonly Uint8Array[];
  readonly #headers: readonly PreparedValue[];
  readonly #query: readonly PreparedValue[];

  constructor({ methods, headers, query }: Conditions, matchKey: MatchKey) {
    this.matchKey = matchKey;
    this.#methods = methods.map((method) => encoder.encode(method));
    this.#headers = headers.map(preparedValue);
    this.#query = query.map(preparedValue);
  }

  /** Whether all hold. Allocates nothing. */
  hold(bytes: Uint8Array, facts: RequestFacts): boolean {
    return (
      this.#methodHolds(bytes, facts) &&
      this.#headersHold(bytes, facts) &&
      this.#queryHolds(bytes, facts)
    );
  }

  #methodHolds(bytes: Uint8Array, facts: RequestFacts): boolean {
    const methods = this.#methods;
    if (methods.length === 0) return true;
    for (let i = 0; i < methods.length; i++) if (facts.hasMethod(bytes, methods[i]!)) return true;
    return false;
  }

  #headersHold(bytes: Uint8Array, facts: RequestFacts): boolean {
    const headers = this.#headers;
    for (let i = 0; i < headers.length; i++) {
      const value = headers[i]!;
      if (facts.hasField(bytes, value) !== value.isWanted) return false;
    }
    return true;
  }

  #queryHolds(bytes: Uint8Array, facts: RequestFacts): boolean {
    const query = this.#query;
    for (let i = 0; i < query.length; i++) {
      const value = query[i]!;
      if (facts.hasParameter(bytes, value) !== value.isWanted) return false;
    }
    return true;
  }
}

export function preparedValue({ name, op, value }: ValueCondition): PreparedValue {
  return {
    name: encoder.encode(name),
    value: op === "exact" || op === "prefix" ? encoder.encode(value) : nothing,
    isWhole: op === "exact",
    isWanted: op !== "absent",
  };
}
