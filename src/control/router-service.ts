// The contract's calls, one method each: parse, decide, answer. See proto/crosspoint/v1/router.proto.
//
// Knows nothing of gRPC: a call is a request and a context, its answer a message or a RouterError.
// So the calls are tested without a port, and another transport needs no second service.

import type * as proto from "../gen/crosspoint/v1/router.ts";
import { nodeDrainMsMax, watchesMax } from "../limits.ts";
import { parseAddress } from "../model/address.ts";
import { RouterError } from "../model/errors.ts";
import { parseRouteName, parseServiceName } from "../model/names.ts";
import { stillPaused } from "../model/parse-service-options.ts";
import { revisionZero } from "../model/revision.ts";
import type { Table } from "../model/table.ts";
import type { MemberInfo } from "../store/members.ts";
import { Cluster } from "./cluster.ts";
import { type CallContext, type Patience, withPatience } from "./deadline.ts";
import { mayStillUse, withTimeFor } from "./draining-calls.ts";
import { Leaving, type LeavingParts } from "./leaving.ts";
import { listRoutes, parseRouteFilter } from "./listing.ts";
import { listBackendStatuses, listServiceStatuses, type Verdicts } from "./measured-lists.ts";
import { listNodes } from "./node-list.ts";
import {
  parseBackend,
  parseChanges,
  parseFieldRevision,
  parseQuestion,
  parseRequestId,
  parseWait,
} from "./parse-request.ts";
import { parseRoute } from "./parse-route.ts";
import { parseService } from "./parse-service.ts";
import { renderLagging } from "./render.ts";
import { renderRoute } from "./render-route.ts";
import { renderService } from "./render-service.ts";
import { acceptStore, getStore, listRejectedEntries } from "./store-calls.ts";
import { watchEvents } from "./watch-stream.ts";
import { caughtUp, Writer, type WriterParts } from "./writer.ts";

type Unary<Request, Response> = (request: Request, context: CallContext) => Promise<Response>;

/** What a transport offers. Every call rejects with a RouterError, or with a bug of ours. */
export interface RouterCalls {
  readonly addRoute: Unary<proto.AddRouteRequest, proto.AddRouteResponse>;
  readonly removeRoute: Unary<proto.RemoveRouteRequest, proto.RemoveRouteResponse>;
  readonly getRoute: Unary<proto.GetRouteRequest, proto.GetRouteResponse>;
  readonly listRoutes: Unary<proto.ListRoutesRequest, proto.ListRoutesResponse>;
  readonly applyChanges: Unary<proto.ApplyChangesRequest, proto.ApplyChangesResponse>;
  readonly putService: Unary<proto.PutServiceRequest, proto.PutServiceResponse>;
  readonly removeService: Unary<proto.RemoveServiceRequest, proto.RemoveServiceResponse>;
  readonly listServices: Unary<proto.ListServicesRequest, proto.ListServicesResponse>;
  readonly registerBackend: Unary<proto.RegisterBackendRequest, proto.RegisterBackendResponse>;
  readonly deregisterBackend: Unary<
    proto.DeregisterBackendRequest,
    proto.DeregisterBackendResponse
  >;
  readonly listBackends: Unary<proto.ListBackendsRequest, proto.ListBackendsResponse>;
  readonly pauseService: Unary<proto.PauseServiceRequest, proto.PauseServiceResponse>;
  readonly resumeService: Unary<proto.ResumeServiceRequest, proto.ResumeServiceResponse>;
  readonly drainNode: Unary<proto.DrainNodeRequest, proto.DrainNodeResponse>;
  readonly explain: Unary<proto.ExplainRequest, proto.ExplainResponse>;
  readonly listNodes: Unary<proto.ListNodesRequest, proto.ListNodesResponse>;
  readonly listRejectedEntries: Unary<
    proto.ListRejectedEntriesRequest,
    proto.ListRejectedEntriesResponse
  >;
  readonly getStore: Unary<proto.GetStoreRequest, proto.GetStoreResponse>;
  readonly acceptStore: Unary<proto.AcceptStoreRequest, proto.AcceptStoreResponse>;
  /** Ends when `signal` aborts. */
  readonly watch: (
    request: proto.WatchRequest,
    signal: AbortSignal,
  ) => AsyncIterable<proto.WatchResponse>;
}

export interface RouterServiceParts extends Omit<WriterParts, "cluster"> {
  /** What this node says of itself; asked at each list of nodes. Default: its name. */
  readonly info?: () => MemberInfo;
  /** Absent: nothing drains here, and no call ends this node. */
  readonly leaving?: LeavingParts;
  /** What the checks of backends say. Absent: nothing is checked. */
  readonly health?: Verdicts;
}

export function createRouterService(parts: RouterServiceParts): RouterCalls {
  const service = new RouterService(parts);
  const unary =
    <Request, Response>(
      work: (request: Request, patience: Patience) => Promise<Response>,
    ): Unary<Request, Response> =>
    (request, context) =>
      withPatience(parts.system, context, (patience) => work(request, patience));
  return {
    addRoute: unary((request, patience) => service.addRoute(request, patience)),
    removeRoute: unary((request, patience) => service.removeRoute(request, patience)),
    getRoute: unary((request, patience) => service.getRoute(request, patience)),
    listRoutes: unary((request, patience) => service.listRoutes(request, patience)),
    applyChanges: unary((request, patience) => service.applyChanges(request, patience)),
    putService: unary((request, patience) => service.putService(request, patience)),
    removeService: unary((request, patience) => service.removeService(request, patience)),
    listServices: unary((request, patience) => service.listServices(request, patience)),
    registerBackend: unary((request, patience) => service.registerBackend(request, patience)),
    deregisterBackend: (request, context) =>
      unary((asked: typeof request, patience) => service.deregisterBackend(asked, patience))(
        request,
        withTimeFor(context, request.drain),
      ),
    listBackends: unary((request, patience) => service.listBackends(request, patience)),
    pauseService: unary((request, patience) => service.leaving.pause(request, patience)),
    resumeService: unary((request, patience) => service.leaving.resume(request, patience)),
    drainNode: (request, context) =>
      unary((asked: typeof request, patience) => service.leaving.drainNode(asked, patience))(
        request,
        withTimeFor(context, request.notice, request.drain ?? nodeDrain),
      ),
    explain: unary((request, patience) => service.explain(request, patience)),
    listNodes: unary((_request: proto.ListNodesRequest, patience) => service.listNodes(patience)),
    listRejectedEntries: unary(async (request: proto.ListRejectedEntriesRequest) => {
      const { items, nextPageToken } = listRejectedEntries(parts, request);
      return { entries: [...items], nextPageToken };
    }),
    getStore: unary(async () => ({ store: getStore(parts) })),
    acceptStore: unary((request, patience) => acceptStore(parts, request, patience)),
    watch: (request, signal) => service.watch(request, signal),
  };
}

class RouterService {
  readonly #parts: WriterParts &
    Omit<RouterServiceParts, "leaving"> &
    Required<Pick<RouterServiceParts, "info">>;
  readonly #writer: Writer;
  readonly leaving: Leaving;
  #watches = 0;

  constructor(given: RouterServiceParts) {
    const parts = {
      ...given,
      cluster: new Cluster(given),
      info: given.info ?? (() => unknownInfo(given.serving.nodeName)),
    };
    this.#parts = parts;
    this.#writer = new Writer(parts);
    const world = { ...parts, nodeName: parts.serving.nodeName, writer: this.#writer };
    this.leaving = new Leaving(world, given.leaving);
  }

  async addRoute(
    request: proto.AddRouteRequest,
    patience: Patience,
  ): Promise<proto.AddRouteResponse> {
    const written = await this.#writer.write(
      {
        drafts: [parseRoute(request.route, "create", "route")],
        ...guardsOf(request),
        requestId: parseRequestId(request.requestId),
      },
      patience,
    );
    const route = written.results[0]?.after;
    const stored = route === undefined || route.revision === 0n ? undefined : route.revision;
    return {
      route,
      revision: request.validateOnly ? BigInt(written.revision) : (stored ?? 0n),
      lagging: renderLagging(written.lagging),
    };
  }

  async removeRoute(
    request: proto.RemoveRouteRequest,
    patience: Patience,
  ): Promise<proto.RemoveRouteResponse> {
    const name = parseRouteName(request.name, "name");
    const { revision, lagging } = await this.#writer.write(
      {
        drafts: [{ kind: "remove-route", name, field: "name" }],
        ...guardsOf(request),
        requestId: "",
      },
      patience,
    );
    return { revision: BigInt(revision), lagging: renderLagging(lagging) };
  }

  async getRoute(
    request: proto.GetRouteRequest,
    patience: Patience,
  ): Promise<proto.GetRouteResponse> {
    const name = parseRouteName(request.name, "name");
    const route = (await this.#table(patience)).route(name);
    if (route === undefined) {
      throw new RouterError("not-found", `there is no route "${name}"`, {
        resource: { type: "route", name },
      });
    }
    return { route: renderRoute(route) };
  }

  async listRoutes(
    request: proto.ListRoutesRequest,
    patience: Patience,
  ): Promise<proto.ListRoutesResponse> {
    const filter = parseRouteFilter(request.filter);
    const table = await this.#table(patience);
    const { items, nextPageToken } = listRoutes(table, filter, request);
    return { routes: items.map(renderRoute), nextPageToken, revision: BigInt(table.revision) };
  }

  async applyChanges(
    request: proto.ApplyChangesRequest,
    patience: Patience,
  ): Promise<proto.ApplyChangesResponse> {
    const { revision, results, lagging } = await this.#writer.write(
      {
        drafts: parseChanges(request.changes),
        ...guardsOf(request),
        requestId: parseRequestId(request.requestId),
      },
      patience,
    );
    return {
      revision: BigInt(revision),
      results: [...results],
      lagging: renderLagging(lagging),
    };
  }

  async putService(
    request: proto.PutServiceRequest,
    patience: Patience,
  ): Promise<proto.PutServiceResponse> {
    const service = parseService(request.service, "service");
    const { revision, lagging } = await this.#writer.write(
      {
        drafts: [{ kind: "put-service", service, field: "service" }],
        ...guardsOf(request),
        requestId: "",
      },
      patience,
    );
    return {
      service: renderService(stillPaused(service, this.#parts.view.table.service(service.name))),
      revision: BigInt(revision),
      lagging: renderLagging(lagging),
    };
  }

  async removeService(
    request: proto.RemoveServiceRequest,
    patience: Patience,
  ): Promise<proto.RemoveServiceResponse> {
    const name = parseServiceName(request.name, "name");
    const { revision, lagging } = await this.#writer.write(
      {
        drafts: [{ kind: "remove-service", name, field: "name" }],
        ...unguarded,
        wait: parseWait(request.wait),
      },
      patience,
    );
    return { revision: BigInt(revision), lagging: renderLagging(lagging) };
  }

  async listServices(
    request: proto.ListServicesRequest,
    patience: Patience,
  ): Promise<proto.ListServicesResponse> {
    await this.#table(patience);
    return await listServiceStatuses(this.#parts, request, patience);
  }

  async registerBackend(
    request: proto.RegisterBackendRequest,
    patience: Patience,
  ): Promise<proto.RegisterBackendResponse> {
    const backend = parseBackend(request.backend, request.ttl);
    const { revision, lagging } = await this.#writer.write(
      {
        drafts: [{ kind: "put-backend", backend }],
        ...unguarded,
        wait: parseWait(request.wait),
      },
      patience,
    );
    return { revision: BigInt(revision), lagging: renderLagging(lagging) };
  }

  /** The answer has no room for who lags, so not being served is an error here. */
  async deregisterBackend(
    request: proto.DeregisterBackendRequest,
    patience: Patience,
  ): Promise<proto.DeregisterBackendResponse> {
    const service = parseServiceName(request.service, "service");
    const address = parseAddress(request.address, "address");
    if (request.drain !== undefined) {
      return await this.leaving.drainBackend({ service, address }, request.drain, patience);
    }
    const { revision, lagging } = await this.#writer.write(
      { drafts: [{ kind: "remove-backend", service, address }], ...unguarded, wait: "node" },
      patience,
    );
    const [lag] = lagging;
    if (lag !== undefined) throw mayStillUse(service, address, revision, lag);
    return { revision: BigInt(revision), cut: 0 };
  }

  async listBackends(
    request: proto.ListBackendsRequest,
    patience: Patience,
  ): Promise<proto.ListBackendsResponse> {
    await this.#table(patience);
    return await listBackendStatuses(this.#parts, request, patience);
  }

  async explain(request: proto.ExplainRequest, patience: Patience): Promise<proto.ExplainResponse> {
    const question = parseQuestion(request);
    const answer = await patience.during(
      this.#parts.serving.explain(question, patience.signal),
      "a worker had answered",
    );
    const { route, service, backend, steps, status } = answer;
    const revision = BigInt(answer.revision);
    return { revision, route, service, backend, steps: [...steps], status };
  }

  /** What is known when the time is over, rather than an error: it is asked when something is wrong. */
  async listNodes(patience: Patience): Promise<proto.ListNodesResponse> {
    return await listNodes(this.#parts, patience.signal);
  }

  async *watch(
    request: proto.WatchRequest,
    signal: AbortSignal,
  ): AsyncGenerator<proto.WatchResponse> {
    const after = parseFieldRevision(request.afterRevision, "after_revision");
    if (this.#watches >= watchesMax) {
      throw new RouterError("resource-exhausted", `${watchesMax} watches are open already`, {
        reason: "WATCHES_OPEN",
      });
    }
    this.#watches++;
    try {
      const { store, view } = this.#parts;
      await view.reached(this.#writer.lastRevision, signal);
      yield* watchEvents(store, view, after, signal);
    } finally {
      this.#watches--;
    }
  }

  /** The table with every write that this node has answered. */
  async #table(patience: Patience): Promise<Table> {
    const { view } = this.#parts;
    await caughtUp(view, this.#writer.lastRevision, patience, "this node saw its own last write");
    return view.table;
  }
}

/** How long a node drains that was not told, at most as far as a caller can know. */
const nodeDrain = { seconds: BigInt(nodeDrainMsMax / 1_000), nanos: 0 };

/** Of a node that was told nothing about itself. */
function unknownInfo(name: string): MemberInfo {
  return {
    name,
    version: "",
    rpc: "",
    admin: "",
    http: [],
    workers: 0,
    io: "",
    startTimeMs: 0,
  };
}

const unguarded = { ifRevision: revisionZero, validateOnly: false, requestId: "" } as const;

function guardsOf(request: {
  readonly wait: proto.Wait;
  readonly validateOnly: boolean;
  readonly ifRevision: bigint;
}): Pick<Parameters<Writer["write"]>[0], "wait" | "validateOnly" | "ifRevision"> {
  return {
    wait: parseWait(request.wait),
    validateOnly: request.validateOnly,
    ifRevision: parseFieldRevision(request.ifRevision, "if_revision"),
  };
}
