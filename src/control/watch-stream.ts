// What a watcher is sent: the table if it wants it, then every change, with a bookmark after each revision.
//
// Pulled by whoever writes to the wire, so a slow reader costs no memory here.

import type { WatchResponse } from "../gen/crosspoint/v1/router.ts";
import type { Snapshot } from "../model/change.ts";
import type { Revision } from "../model/revision.ts";
import type { Store } from "../store/store.ts";
import { renderBookmark, renderEvent } from "./render.ts";
import type { TableView } from "./table-view.ts";

/** From `after` on; 0: what the store holds first. Ends when `signal` aborts; throws as `Store.watch`. */
export async function* watchEvents(
  store: Store,
  view: TableView,
  after: Revision,
  signal: AbortSignal,
): AsyncGenerator<WatchResponse> {
  let from = after;
  if (after === 0) {
    const snapshot = view.stored.snapshot();
    yield* snapshotEvents(snapshot);
    from = snapshot.revision;
  }
  for await (const { revision, changes } of store.watch(from, signal)) {
    // Whoever hears of a change and then asks this node shall find it.
    await view.reached(revision, signal);
    for (const change of changes) yield renderEvent(revision, change);
    yield renderBookmark(revision);
  }
}

function* snapshotEvents(snapshot: Snapshot): Generator<WatchResponse> {
  const { revision } = snapshot;
  for (const service of snapshot.services)
    yield renderEvent(revision, { kind: "service-put", service });
  for (const backend of snapshot.backends)
    yield renderEvent(revision, { kind: "backend-put", backend });
  for (const route of snapshot.routes) yield renderEvent(revision, { kind: "route-put", route });
  yield renderBookmark(revision);
}
