// What is open at some places, for the main thread: it waits until nothing is.

import type { OpenPlace } from "../channel/messages.ts";
import type { RouteTable } from "../routing/route-table.ts";

/** Requests and connections in flight, in the order of the places; 0 where the table has none such. */
export function countOpen(table: RouteTable, places: readonly OpenPlace[]): number[] {
  return places.map(({ service, address }) => {
    const state = table.service(service);
    if (state === undefined) return 0;
    if (address !== "") return state.backendAt(address)?.inFlight ?? 0;
    return state.backends.reduce((sum, { inFlight }) => sum + inFlight, 0);
  });
}
