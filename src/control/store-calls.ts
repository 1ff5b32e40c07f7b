// The calls about the store itself: how this node stands to it, what is set aside, taking what is held.

import { createHash } from "node:crypto";
import type * as proto from "../gen/crosspoint/v1/router.ts";
import { pageTokenKeyCharactersMax } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import type { RejectedEntry, Store } from "../store/store.ts";
import type { System } from "../system.ts";
import type { Patience } from "./deadline.ts";
import type { PageFields } from "./listing.ts";
import { type Page, pageOf, parsePage } from "./pages.ts";
import { renderStore } from "./render.ts";
import { standingOf } from "./store-standing.ts";
import type { TableView } from "./table-view.ts";

export interface StoreParts {
  readonly store: Store;
  readonly view: TableView;
  readonly system: System;
}

/** How this node stands to its store and to its discoveries now. */
export function getStore({ store, view }: StoreParts): proto.Store {
  return renderStore({
    name: store.name,
    standing: standingOf(store, view),
    revision: view.table.revision,
    discoveryTroubles: discoveryTroubles(view),
  });
}

/** One line for each discovery that is away or held. */
export function discoveryTroubles({ discoveries }: Pick<TableView, "discoveries">): string[] {
  return discoveries.flatMap(({ name, trouble }) => {
    if (trouble === undefined) return [];
    return trouble.startsWith(name) ? trouble : `${name}: ${trouble}`;
  });
}

/** All that this node's sources hold and it does not serve, in no order. */
export function rejectedEntries({
  store,
  view,
}: {
  readonly store: Pick<Store, "rejected">;
  readonly view: Pick<TableView, "rejected" | "discoveries">;
}): readonly RejectedEntry[] {
  const unreadable = view.discoveries.flatMap((discovery) => discovery.unreadable);
  return [...store.rejected, ...view.rejected, ...unreadable];
}

export function listRejectedEntries(parts: StoreParts, fields: PageFields): Page<RejectedEntry> {
  const page = parsePage("rejected", fields);
  const placed = rejectedEntries(parts).map((entry, place) => ({ entry, place }));
  const { items, nextPageToken } = pageOf(
    placed,
    page,
    ({ entry, place }) => `${pageKeyOf(entry.key)} ${place}`,
    ({ entry: { key, reason } }) => 3 * (key.length + reason.length) + 16,
  );
  return { items: items.map(({ entry }) => entry), nextPageToken };
}

/** Of a strange key only as much as a token holds, told apart from its like. */
function pageKeyOf(key: string): string {
  if (key.length <= pageTokenKeyCharactersMax) return key;
  const digest = createHash("sha256").update(key).digest("base64url");
  return `${key.slice(0, pageTokenKeyCharactersMax)} ${digest}`;
}

/** Takes what is held: by the store for every node that shares it, by the discoveries for this one. */
export async function acceptStore(
  parts: StoreParts,
  { validateOnly }: proto.AcceptStoreRequest,
  patience: Patience,
): Promise<proto.AcceptStoreResponse> {
  const { store, view } = parts;
  const before = getStore(parts);
  const { removed, changed, added } = before;
  const held = standingOf(store, view).state === "held";
  if (validateOnly) {
    // Whether a discovery's trouble is one that can be accepted, only the acceptance tells.
    if (!held && before.discoveryTroubles.length === 0) throw nothingHeld(before);
    return { store: before, removed, changed, added };
  }
  const fromStore = held && (await patience.during(store.accept(), "the store was accepted"));
  const fromDiscoveries = await patience.during(acceptDiscoveries(view), "discovery was accepted");
  if (!fromStore && !fromDiscoveries) throw nothingHeld(before);
  await followed(parts, patience);
  const after = getStore(parts);
  return fromStore
    ? { store: after, removed, changed, added }
    : { store: after, removed: 0, changed: 0, added: 0 };
}

/** Whether any was held; what one of them cannot do now is no reason to leave the others. */
async function acceptDiscoveries({ discoveries }: TableView): Promise<boolean> {
  const answers = await Promise.allSettled(discoveries.map((discovery) => discovery.accept()));
  if (answers.some((answer) => answer.status === "fulfilled" && answer.value)) return true;
  const failed = answers.find((answer) => answer.status === "rejected");
  if (failed !== undefined) throw RouterError.from(failed.reason);
  return false;
}

/** The table is read again within the turn in which the store was taken. */
async function followed({ store, view, system }: StoreParts, patience: Patience): Promise<void> {
  const { revision } = await patience.during(store.read(), "the store was read again");
  await new Promise<void>((resolve) => system.atTurnEnd(resolve));
  await patience.during(view.reached(revision, patience.signal), "the table had followed");
}

function nothingHeld({ name, detail }: proto.Store): RouterError {
  const now = detail === "" ? "is followed" : `cannot be followed: ${detail}`;
  return new RouterError(
    "failed-precondition",
    `nothing is held that could be accepted: the store ${name} ${now}`,
    { reason: "NOTHING_HELD", resource: { type: "store", name } },
  );
}
