// Which backend the sticky cookie of a request names. Only routes with cookie affinity come here.
//
// Cookies of several routes may arrive together, each under its path (RFC 6265 section 5.4), and a cookie is sealed
// for one service: what does not open for a service of this route is none of its business.

import { Field } from "../protocol/field.ts";
import type { HeadFields } from "../protocol/head-fields.ts";
import type { BackendState } from "../routing/backend-state.ts";
import type { CompiledRoute } from "../routing/compiled-route.ts";
import type { ServiceState } from "../routing/service-state.ts";
import { type StickyCookie, stickyValuesOf } from "./sticky-cookie.ts";

/** A client may send any number, and to find out that one is not ours costs up to 40 µs for each service. */
const valuesMax = 4;
/** So many are tried in all, of values and services: the largest split with one value. */
const opensMax = 16;

/** Where the client has been before. */
export interface StickyPlace {
  readonly service: ServiceState;
  readonly backend: BackendState;
}

/** undefined: the request names none that still exists. */
export function stickyPlaceOf(
  sticky: StickyCookie,
  route: CompiledRoute,
  bytes: Uint8Array,
  fields: HeadFields,
): StickyPlace | undefined {
  const { split } = route;
  const services = split === undefined ? 1 : split.shares.length;
  let left = Math.min(valuesMax, Math.max(1, Math.floor(opensMax / services)));
  for (let i = 0; i < fields.count; i++) {
    if (fields.kind[i] !== Field.Cookie) continue;
    for (const value of stickyValuesOf(latin1(bytes, fields.valueStart[i]!, fields.valueEnd[i]!))) {
      const place = placeOf(sticky, route, value);
      if (place !== undefined) return place;
      if (--left === 0) return undefined;
    }
  }
  return undefined;
}

function placeOf(
  sticky: StickyCookie,
  { service, split }: CompiledRoute,
  value: string,
): StickyPlace | undefined {
  if (split === undefined) return service && openedFor(sticky, service, value);
  for (const share of split.shares) {
    // Who takes a service out of a split by a weight of 0 wants its clients to leave.
    const place = share.weight > 0 ? openedFor(sticky, share.service, value) : undefined;
    if (place !== undefined) return place;
  }
  return undefined;
}

function openedFor(
  sticky: StickyCookie,
  service: ServiceState,
  value: string,
): StickyPlace | undefined {
  const address = sticky.open(service.name, value);
  const backend = address === undefined ? undefined : service.backendAt(address);
  return backend === undefined ? undefined : { service, backend };
}

/** bytes[start..end) as Latin-1 text. */
function latin1(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]!);
  return text;
}
