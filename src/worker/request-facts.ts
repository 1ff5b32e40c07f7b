// What the conditions of routes ask about a request, answered from its head where it lies.
//
// All fields that came are asked, also those that end here (Connection names them, or they are hop-by-hop):
// a condition is about what the client sent, not about what goes on. A name with "_" is another name.

import type { ValueCondition } from "../model/conditions.ts";
import { lowerOctet } from "../protocol/octets.ts";
import type { RequestHead } from "../protocol/request-head.ts";
import { fits, queryHas, type RequestFacts } from "../routing/request-facts.ts";

/** One for all requests of a worker: of the head that was read last. */
export class HeadFacts implements RequestFacts {
  readonly #heads: { readonly current: RequestHead };

  constructor(heads: { readonly current: RequestHead }) {
    this.#heads = heads;
  }

  hasMethod(bytes: Uint8Array, method: string): boolean {
    const { methodStart, methodEnd } = this.#heads.current;
    if (methodEnd - methodStart !== method.length) return false;
    for (let i = 0; i < method.length; i++) {
      if (bytes[methodStart + i] !== method.charCodeAt(i)) return false;
    }
    return true;
  }

  hasField(bytes: Uint8Array, sought: ValueCondition): boolean {
    const { fields } = this.#heads.current;
    const { name } = sought;
    for (let i = 0; i < fields.count; i++) {
      if (
        isNamed(bytes, fields.nameStart[i]!, fields.nameEnd[i]!, name) &&
        fits(bytes, fields.valueStart[i]!, fields.valueEnd[i]!, sought)
      ) {
        return true;
      }
    }
    return false;
  }

  hasParameter(bytes: Uint8Array, sought: ValueCondition): boolean {
    const { pathEnd, targetEnd } = this.#heads.current;
    return queryHas(bytes, pathEnd + 1, targetEnd, sought);
  }
}

/** Whether the name in the range is `name` (given in lower case), whatever its case. */
export function isNamed(bytes: Uint8Array, start: number, end: number, name: string): boolean {
  const length = end - start;
  if (length !== name.length) return false;
  for (let i = 0; i < length; i++) {
    if (lowerOctet[bytes[start + i]!] !== name.charCodeAt(i)) return false;
  }
  return true;
}
