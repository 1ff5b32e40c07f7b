// model -> proto: whole messages, since a partial one cannot be encoded.

import * as proto from "../gen/crosspoint/v1/router.ts";
import type { Backend, BackendDrain } from "../model/backend.ts";
import type { Change } from "../model/change.ts";
import { unreachable } from "../model/errors.ts";
import type { Revision } from "../model/revision.ts";
import type { Step } from "./change-plan.ts";
import { renderDuration } from "./duration.ts";
import { renderRoute } from "./render-route.ts";
import { renderService } from "./render-service.ts";
import type { NodeLag } from "./serving.ts";
import type { StoreStanding } from "./store-standing.ts";

export function renderBackend(backend: Backend): proto.Backend {
  return {
    service: backend.service,
    address: backend.address,
    weight: backend.weight,
    labels: { ...backend.labels },
    ...(backend.ttlMs === undefined ? {} : { ttl: renderDuration(backend.ttlMs) }),
    ...(backend.drain === undefined ? {} : { drain: renderDrain(backend.drain) }),
  };
}

function renderDrain({ state, deadlineMs, cut = 0 }: BackendDrain): proto.BackendDrain {
  const { DRAINING, DRAINED } = proto.BackendDrain_State;
  return {
    state: state === "drained" ? DRAINED : DRAINING,
    deadline: new Date(deadlineMs),
    cut,
  };
}

export function renderLagging(lagging: readonly NodeLag[]): proto.NodeLag[] {
  return lagging.map(({ node, servedRevision, reason }) => ({
    node,
    servedRevision: BigInt(servedRevision),
    reason,
  }));
}

const states = {
  current: proto.Store_State.CURRENT,
  away: proto.Store_State.AWAY,
  stale: proto.Store_State.STALE,
  held: proto.Store_State.HELD,
} as const;

export function renderStore(store: {
  readonly name: string;
  readonly standing: StoreStanding;
  readonly revision: Revision;
  readonly discoveryTroubles: readonly string[];
}): proto.Store {
  const { state, sinceMs, detail, removed, changed, added } = store.standing;
  return {
    name: store.name,
    state: states[state],
    revision: BigInt(store.revision),
    detail,
    since: sinceMs === undefined ? undefined : new Date(sinceMs),
    removed,
    changed,
    added,
    discoveryTroubles: [...store.discoveryTroubles],
  };
}

const actions = {
  none: proto.ChangeResult_Action.NONE,
  create: proto.ChangeResult_Action.CREATE,
  update: proto.ChangeResult_Action.UPDATE,
  delete: proto.ChangeResult_Action.DELETE,
} as const;

/** What is new has revision 0 until it is stored: see `atRevision`. */
export function renderResult(step: Step): proto.ChangeResult {
  const after = step.after === undefined ? undefined : renderRoute(step.after);
  // Neither the port nor the name that follows from it is known yet.
  if (after !== undefined && step.open?.unnamed === true) after.name = "";
  return {
    action: actions[step.action],
    before: step.before === undefined ? undefined : renderRoute(step.before),
    after,
  };
}

/** Gives what was just stored its revision. */
export function atRevision(
  results: readonly proto.ChangeResult[],
  revision: Revision,
): proto.ChangeResult[] {
  return results.map((result) =>
    result.after?.revision === 0n
      ? { ...result, after: { ...result.after, revision: BigInt(revision) } }
      : result,
  );
}

export function renderEvent(revision: Revision, change: Change): proto.WatchResponse {
  return { revision: BigInt(revision), event: renderChange(change) };
}

export function renderBookmark(revision: Revision): proto.WatchResponse {
  return { revision: BigInt(revision), event: { $case: "bookmark", value: {} } };
}

function renderChange(change: Change): proto.WatchResponse["event"] {
  switch (change.kind) {
    case "route-put":
      return { $case: "routePut", value: renderRoute(change.route) };
    case "route-removed":
      return { $case: "routeRemoved", value: change.name };
    case "service-put":
      return { $case: "servicePut", value: renderService(change.service) };
    case "service-removed":
      return { $case: "serviceRemoved", value: change.name };
    case "backend-put":
      return { $case: "backendPut", value: renderBackend(change.backend) };
    case "backend-removed": {
      const { service, address } = change;
      return { $case: "backendRemoved", value: { service, address, weight: 0, labels: {} } };
    }
    default:
      return unreachable(change);
  }
}
