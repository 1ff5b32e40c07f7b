// A node's RouterService as the command uses it: an address, a deadline for every call, pages joined.

import {
  type CallOptions,
  ChannelCredentials,
  type ClientReadableStream,
  connectivityState,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { parseDuration } from "../config-values.ts";
import {
  type BackendStatus,
  type ListBackendsResponse,
  type ListRejectedEntriesResponse,
  type ListRoutesResponse,
  type ListServicesResponse,
  type Route,
  RouterServiceClient,
  type Service,
  WatchRequest,
  type WatchResponse,
} from "../gen/crosspoint/v1/router.ts";
import { clientMessageBytesMax, clientPageSize, clientTimeoutMsDefault } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import { realSystem } from "../system.ts";
import { type Invocation, textOf } from "./command.ts";
import { usageError } from "./failure.ts";
import { errorOf, unreachable } from "./grpc-error.ts";

/** Where a node listens when nobody says otherwise. */
const addressDefault = "127.0.0.1:7070";

/** One call, begun: the generated method with everything but its request. */
type Begin<A> = (
  stub: RouterServiceClient,
  metadata: Metadata,
  options: Partial<CallOptions>,
  answered: (error: ServiceError | null, answer: A) => void,
) => unknown;

/** Connects as the flags and the environment say, works, and closes however the work ends. */
export async function withNode<T>(
  { flags, env }: Pick<Invocation, "flags" | "env">,
  work: (node: NodeClient) => Promise<T>,
): Promise<T> {
  const flag = textOf(flags, "rpc");
  const variable = env["CROSSPOINT_RPC"] ?? "";
  const address = flag ?? (variable === "" ? addressDefault : variable);
  const node = new NodeClient(
    address,
    targetOf(address, flag === undefined ? "CROSSPOINT_RPC" : "--rpc"),
    timeoutOf(textOf(flags, "timeout")),
  );
  try {
    return await work(node);
  } finally {
    node.close();
  }
}

export class NodeClient {
  readonly address: string;
  /** ms; undefined: as long as a call takes by default. */
  readonly timeoutMs: number | undefined;
  readonly #stub: RouterServiceClient;

  constructor(address: string, target: string, timeoutMs: number | undefined) {
    this.address = address;
    this.timeoutMs = timeoutMs;
    this.#stub = new RouterServiceClient(target, ChannelCredentials.createInsecure(), {
      "grpc.max_receive_message_length": clientMessageBytesMax,
      // A node is reached directly: http_proxy in the environment is meant for other programs.
      "grpc.enable_http_proxy": 0,
      "grpc.service_config_disable_resolution": 1,
    });
  }

  /** One call. `extraMs` is added to the default deadline for a call that is meant to take long. */
  call<A>(begin: Begin<A>, extraMs = 0): Promise<A> {
    const timeoutMs = this.timeoutMs ?? clientTimeoutMsDefault + extraMs;
    const deadline = realSystem.wallMs() + timeoutMs;
    return new Promise((resolve, reject) => {
      begin(this.#stub, new Metadata(), { deadline }, (error, answer) => {
        if (error === null) resolve(answer);
        else reject(this.#explained(error, timeoutMs));
      });
    });
  }

  /** All changes after `revision`, until the stream ends or --timeout is over. */
  async *watch(revision: bigint): AsyncGenerator<WatchResponse> {
    const options =
      this.timeoutMs === undefined ? {} : { deadline: realSystem.wallMs() + this.timeoutMs };
    const request = WatchRequest.fromPartial({ afterRevision: revision });
    const stream: ClientReadableStream<WatchResponse> = this.#stub.watch(
      request,
      new Metadata(),
      options,
    );
    try {
      for await (const event of stream) yield event;
    } catch (reason) {
      if (!isServiceError(reason)) throw reason;
      const error = this.#explained(reason, this.timeoutMs ?? 0);
      if (error.code !== "deadline") throw error;
    } finally {
      stream.cancel();
    }
  }

  /** Every route that passes `filter`, and the table's revision at the last page. */
  async routes(filter: Record<string, string>): Promise<ListRoutesResponse> {
    const pages = await allPages((pageToken) =>
      this.call<ListRoutesResponse>((stub, ...rest) =>
        stub.listRoutes({ filter, pageSize: clientPageSize, pageToken }, ...rest),
      ),
    );
    const routes: Route[] = pages.flatMap((page) => page.routes);
    return { routes, nextPageToken: "", revision: pages.at(-1)?.revision ?? 0n };
  }

  /** @param withStatus Also what the node knows of them, which asks its workers. */
  async services(withStatus = false): Promise<ListServicesResponse> {
    const pages = await allPages((pageToken) =>
      this.call<ListServicesResponse>((stub, ...rest) =>
        stub.listServices({ pageSize: clientPageSize, pageToken, withStatus }, ...rest),
      ),
    );
    const services: Service[] = pages.flatMap((page) => page.services);
    return { services, nextPageToken: "", statuses: pages.flatMap((page) => page.statuses) };
  }

  /** @param service Empty: of every service. */
  async backends(service: string): Promise<ListBackendsResponse> {
    const pages = await allPages((pageToken) =>
      this.call<ListBackendsResponse>((stub, ...rest) =>
        stub.listBackends({ service, pageSize: clientPageSize, pageToken }, ...rest),
      ),
    );
    const backends: BackendStatus[] = pages.flatMap((page) => page.backends);
    return { backends, nextPageToken: "", revision: pages.at(-1)?.revision ?? 0n };
  }

  /** What is set aside, and why. */
  async rejectedEntries(): Promise<ListRejectedEntriesResponse> {
    const pages = await allPages((pageToken) =>
      this.call<ListRejectedEntriesResponse>((stub, ...rest) =>
        stub.listRejectedEntries({ pageSize: clientPageSize, pageToken }, ...rest),
      ),
    );
    return { entries: pages.flatMap((page) => page.entries), nextPageToken: "" };
  }

  close(): void {
    this.#stub.close();
  }

  /** A deadline that came before there was a connection is a node that cannot be reached. */
  #explained(error: ServiceError, timeoutMs: number): RouterError {
    const known = errorOf(error, this.address);
    if (known.code !== "deadline" || (known.details.reason ?? "") !== "") return known;
    const connected =
      this.#stub.getChannel().getConnectivityState(false) === connectivityState.READY;
    if (!connected) return unreachable(this.address, `no connection within ${timeoutMs} ms`);
    return new RouterError(
      "deadline",
      `no answer from ${this.address} within ${timeoutMs} ms; a change may have been stored all the same: look before you repeat it (--timeout waits longer)`,
    );
  }
}

/** Asks until there is no next page. A page that is its own successor would never end. */
async function allPages<A extends { readonly nextPageToken: string }>(
  ask: (pageToken: string) => Promise<A>,
): Promise<A[]> {
  const pages: A[] = [];
  for (let token = ""; ; ) {
    const page = await ask(token);
    pages.push(page);
    if (page.nextPageToken === "") return pages;
    if (page.nextPageToken === token) {
      throw new RouterError("internal", "the node answers the same page for ever");
    }
    token = page.nextPageToken;
  }
}

/** What grpc-js dials. Throws "invalid-argument" naming `source`. */
export function targetOf(address: string, source: string): string {
  if (/^unix:./.test(address)) return address;
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/\s]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) {
    throw usageError(`${source}: ${JSON.stringify(address)} is not HOST:PORT or unix:PATH`);
  }
  return match[1] === undefined ? `dns:${address}` : `ipv6:${address}`;
}

function timeoutOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const timeoutMs = parseDuration(text, "--timeout");
  if (timeoutMs === 0) throw usageError("--timeout: must be longer than 0");
  return timeoutMs;
}

function isServiceError(reason: unknown): reason is ServiceError {
  return reason instanceof Error && "code" in reason && "details" in reason && "metadata" in reason;
}
