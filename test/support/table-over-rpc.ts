// A node's table and its history as a client sees them, in the words of the model, so that the ledger of the kill
// tests can compare. What the node adds by itself (revisions of routes, times) is left out.

import type * as proto from "../../src/gen/crosspoint/v1/router.ts";
import type { Change, ChangeSet } from "../../src/model/change.ts";
import { parseDomain, parsePathPrefix, parseServiceName } from "../../src/model/names.ts";
import { parseRevision, type Revision, revisionZero } from "../../src/model/revision.ts";
import type { Route } from "../../src/model/route.ts";
import type { Found } from "../soak/write-ledger.ts";
import { removeRoute, routeNamed } from "../store/samples.ts";
import type { Client } from "./rpc-node.ts";

/** All routes, and every write after `after` (undefined: without history). */
export async function foundThrough(client: Client, after: Revision | undefined): Promise<Found> {
  const { routes, revision } = await allRoutes(client);
  const history = after === undefined ? [] : await historyBetween(client, after, revision);
  return { snapshot: { revision, routes, services: [], backends: [] }, history };
}

async function allRoutes(client: Client): Promise<{ routes: Route[]; revision: Revision }> {
  const routes: Route[] = [];
  for (let pageToken = ""; ; ) {
    const page = await client.call("listRoutes", { pageSize: 1000, pageToken });
    routes.push(...page.routes.map(routeOf));
    pageToken = page.nextPageToken;
    if (pageToken === "") return { routes, revision: parseRevision(Number(page.revision)) };
  }
}

async function historyBetween(
  client: Client,
  after: Revision,
  until: Revision,
): Promise<ChangeSet[]> {
  const history: ChangeSet[] = [];
  if (after === until) return history;
  const watch = client.raw.watch({ afterRevision: BigInt(after) });
  // Left before its end, it is cancelled; that is no news.
  watch.on("error", () => undefined);
  let changes: Change[] = [];
  for await (const { revision, event } of watch as AsyncIterable<proto.WatchResponse>) {
    const change = changeOf(event);
    if (change !== undefined) changes.push(change);
    if (event?.$case !== "bookmark") continue;
    if (changes.length > 0)
      history.push({ revision: parseRevision(Number(revision)), changes: inOrder(changes) });
    changes = [];
    if (Number(revision) >= until) break;
  }
  return history;
}

function changeOf(event: proto.WatchResponse["event"]): Change | undefined {
  switch (event?.$case) {
    case "routePut":
      return { kind: "route-put", route: routeOf(event.value) };
    case "routeRemoved":
      return removeRoute(event.value);
    case "bookmark":
      return undefined;
    default:
      throw new Error(`nobody asked for ${event?.$case}`);
  }
}

function routeOf({ name, match, service, labels, sticky }: proto.Route): Route {
  return routeNamed(name, {
    match:
      match?.$case === "tcp"
        ? { kind: "tcp", port: match.value.port }
        : {
            kind: "http",
            domain: parseDomain(match?.value.domain ?? ""),
            pathPrefix: parsePathPrefix(match?.value.pathPrefix ?? "/"),
          },
    service: parseServiceName(service),
    labels,
    sticky,
    revision: revisionZero,
  });
}

/** Of the route that changes; "" for anything else. */
export function nameOf(change: Change): string {
  if (change.kind === "route-put") return change.route.name;
  return change.kind === "route-removed" ? change.name : "";
}

/** As a client can know it before the node answers: by name, so that only the content counts. */
export function inOrder(changes: readonly Change[]): Change[] {
  return changes.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}

/** Without the ports that the node chose: whoever was cut off does not know them. */
export function withoutPorts({ snapshot, history }: Found): Found {
  return {
    snapshot: { ...snapshot, routes: snapshot.routes.map(withoutPort) },
    history: history.map(({ revision, changes }) => ({
      revision,
      changes: changes.map((change) =>
        change.kind === "route-put" ? { ...change, route: withoutPort(change.route) } : change,
      ),
    })),
  };
}

function withoutPort(route: Route): Route {
  return route.match.kind === "tcp" ? { ...route, match: { kind: "tcp", port: 0 } } : route;
}
