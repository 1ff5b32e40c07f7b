// Reads the sticky cookie of a request. Only routes with cookie affinity come here.

import { Field } from "../protocol/field.ts";
import type { HeadFields } from "../protocol/head-fields.ts";
import type { ServiceState } from "../routing/service-state.ts";
import { type StickyCookie, stickyValueOf } from "./sticky-cookie.ts";

/** The address that the request's cookie names, or undefined when it has none of ours. */
export function stickyAddressOf(
  sticky: StickyCookie,
  service: ServiceState,
  bytes: Uint8Array,
  fields: HeadFields,
): string | undefined {
  for (let i = 0; i < fields.count; i++) {
    if (fields.kind[i] !== Field.Cookie) continue;
    const text = latin1(bytes, fields.valueStart[i]!, fields.valueEnd[i]!);
    const value = stickyValueOf(text);
    if (value !== undefined) return sticky.open(service.name, value);
  }
  return undefined;
}

/** bytes[start..end) as Latin-1 text. */
function latin1(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]!);
  return text;
}
