// What conditions ask about a request, answered for one that somebody asks about and that was never sent.

import type { ValueCondition } from "../model/conditions.ts";
import { fits, queryHas, type RequestFacts } from "./request-facts.ts";

const encoder = new TextEncoder();

/** A request as somebody describes it. */
export interface HttpQuestion {
  readonly kind: "http";
  readonly method: string;
  /** As in the Host field; case, port and trailing dot do not matter. */
  readonly host: string;
  /** As sent, with its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Who asks; "": nobody in particular. */
  readonly clientAddress: string;
}

/** Compares texts; the `bytes` of its methods are not looked at. */
export class QuestionFacts implements RequestFacts {
  readonly #method: string;
  readonly #fields: readonly { readonly name: string; readonly value: Uint8Array }[];
  readonly #query: Uint8Array;

  /** @param query Without its "?". */
  constructor({ method, headers }: Pick<HttpQuestion, "method" | "headers">, query: string) {
    this.#method = method;
    this.#fields = Object.entries(headers).map(([name, value]) => ({
      name: name.toLowerCase(),
      value: encoder.encode(value.replace(/^[\t ]+|[\t ]+$/g, "")),
    }));
    this.#query = encoder.encode(query);
  }

  hasMethod(_bytes: Uint8Array, method: string): boolean {
    return method === this.#method;
  }

  hasField(_bytes: Uint8Array, sought: ValueCondition): boolean {
    return this.#fields.some(
      (field) => field.name === sought.name && fits(field.value, 0, field.value.length, sought),
    );
  }

  hasParameter(_bytes: Uint8Array, sought: ValueCondition): boolean {
    return queryHas(this.#query, 0, this.#query.length, sought);
  }
}
