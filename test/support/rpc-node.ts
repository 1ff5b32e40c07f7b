// The API of one node over a real port: MemoryStore, a fake fleet, a real gRPC server and client.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { onTestFinished } from "vitest";
import { type GrpcAddress, GrpcServer } from "../../src/control/grpc-server.ts";
import { createRouterService, type RouterCalls } from "../../src/control/router-service.ts";
import * as proto from "../../src/gen/crosspoint/v1/router.ts";
import * as details from "../../src/gen/google/rpc/error_details.ts";
import { Status } from "../../src/gen/google/rpc/status.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import type { Store } from "../../src/store/store.ts";
import { realSystem, type System } from "../../src/system.ts";
import { FakeServing } from "./fake-serving.ts";
import { FakeSystem } from "./fake-system.ts";
import { FollowingView } from "./following-view.ts";
import { type RecordingLog, recordingLog } from "./recording-log.ts";

export const image = readFileSync(join(import.meta.dirname, "../../src/gen/image.binpb"));

export interface RpcNode {
  readonly server: GrpcServer;
  readonly store: Store;
  readonly view: FollowingView;
  readonly serving: FakeServing;
  readonly log: RecordingLog;
  readonly client: Client;
}

export interface RpcNodeOptions {
  readonly store?: Store;
  readonly system?: System;
  readonly address?: GrpcAddress;
}

/** Ends with the test. */
export async function startRpcNode(options: RpcNodeOptions = {}): Promise<RpcNode> {
  const system = options.system ?? realSystem;
  const store = options.store ?? new MemoryStore({ system });
  const view = await FollowingView.of(store);
  const serving = new FakeServing();
  const log = recordingLog();
  const server = await GrpcServer.listen({
    address: options.address ?? { kind: "tcp", address: "127.0.0.1", port: 0 },
    service: createRouterService({ store, view, serving, system }),
    image,
    system,
    log,
  });
  server.setServing(true);
  const client = new Client(server.address);
  onTestFinished(async () => {
    client.close();
    const closed = server.close(0);
    if (system instanceof FakeSystem) system.advance(0);
    await closed;
    view.close();
    await store.close();
  });
  return { server, store, view, serving, log, client };
}

type Method = Exclude<keyof RouterCalls, "watch">;
type ResponseOf<M extends Method> = Awaited<ReturnType<RouterCalls[M]>>;

/** A real grpc-js client that answers promises and reads error details. */
export class Client {
  readonly raw: proto.RouterServiceClient;

  constructor(address: string) {
    this.raw = new proto.RouterServiceClient(address, grpc.credentials.createInsecure());
  }

  /** Fields that are left out have their default. Rejects with an RpcError. */
  call<M extends Method>(
    method: M,
    fields: object = {},
    options: Partial<grpc.CallOptions> = {},
  ): Promise<ResponseOf<M>> {
    return this.start<M>(method, fields, options).answer;
  }

  start<M extends Method>(
    method: M,
    fields: object = {},
    options: Partial<grpc.CallOptions> = {},
  ): { readonly call: grpc.ClientUnaryCall; readonly answer: Promise<ResponseOf<M>> } {
    const request = requestOf(method, fields);
    const send = (this.raw as unknown as Record<string, Function>)[method]!.bind(this.raw);
    let call: grpc.ClientUnaryCall | undefined;
    const answer = new Promise<ResponseOf<M>>((resolve, reject) => {
      const done = (error: grpc.ServiceError | null, value: ResponseOf<M>): void => {
        if (error === null) resolve(value);
        else reject(new RpcError(error));
      };
      call = send(request, new grpc.Metadata(), options, done);
    });
    return { call: call!, answer };
  }

  watch(afterRevision: bigint, options: Partial<grpc.CallOptions> = {}): WatchReader {
    return new WatchReader(this.raw.watch({ afterRevision }, options));
  }

  close(): void {
    this.raw.close();
  }
}

function requestOf(method: string, fields: object): unknown {
  const name = `${method[0]!.toUpperCase()}${method.slice(1)}Request`;
  const type = (proto as unknown as Record<string, { fromPartial(fields: object): unknown }>)[name];
  return type!.fromPartial(fields);
}

/** Reads a watch message by message. */
export class WatchReader {
  readonly call: grpc.ClientReadableStream<proto.WatchResponse>;
  readonly #events: AsyncIterator<proto.WatchResponse>;

  constructor(call: grpc.ClientReadableStream<proto.WatchResponse>) {
    this.call = call;
    this.#events = call[Symbol.asyncIterator]();
  }

  /** "route-put web@3", "bookmark@3"; rejects with an RpcError when the stream broke; undefined at its end. */
  async next(): Promise<string | undefined> {
    try {
      const { done, value } = await this.#events.next();
      return done === true ? undefined : eventText(value);
    } catch (error) {
      throw new RpcError(error as grpc.ServiceError);
    }
  }

  async take(count: number): Promise<(string | undefined)[]> {
    const events: (string | undefined)[] = [];
    while (events.length < count) events.push(await this.next());
    return events;
  }
}

function eventText({ event, revision }: proto.WatchResponse): string {
  switch (event?.$case) {
    case "routePut":
    case "servicePut":
      return `${event.$case} ${event.value.name}@${revision}`;
    case "backendPut":
    case "backendRemoved":
      return `${event.$case} ${event.value.service} ${event.value.address}@${revision}`;
    case "routeRemoved":
    case "serviceRemoved":
      return `${event.$case} ${event.value}@${revision}`;
    default:
      return `${event?.$case}@${revision}`;
  }
}

/** A failed call with its google.rpc details taken apart. */
export class RpcError extends Error {
  readonly code: string;
  readonly status: Status | undefined;

  constructor(error: grpc.ServiceError) {
    super(error.details);
    this.code = grpc.status[error.code] ?? String(error.code);
    const bytes = error.metadata?.get("grpc-status-details-bin")[0];
    this.status = bytes === undefined ? undefined : Status.decode(bytes as Buffer);
  }

  get info(): details.ErrorInfo | undefined {
    return this.#detail("ErrorInfo", details.ErrorInfo);
  }
  get fields(): readonly string[] {
    const badRequest = this.#detail("BadRequest", details.BadRequest);
    return badRequest?.fieldViolations.map(({ field }) => field) ?? [];
  }
  get resource(): string | undefined {
    const info = this.#detail("ResourceInfo", details.ResourceInfo);
    return info === undefined ? undefined : `${info.resourceType}/${info.resourceName}`;
  }
  get precondition(): details.PreconditionFailure | undefined {
    return this.#detail("PreconditionFailure", details.PreconditionFailure);
  }
  get quota(): details.QuotaFailure | undefined {
    return this.#detail("QuotaFailure", details.QuotaFailure);
  }
  get retry(): details.RetryInfo | undefined {
    return this.#detail("RetryInfo", details.RetryInfo);
  }

  #detail<T>(name: string, type: { decode(bytes: Uint8Array): T }): T | undefined {
    const typeUrl = `type.googleapis.com/google.rpc.${name}`;
    const found = this.status?.details.find((one) => one.typeUrl === typeUrl);
    return found === undefined ? undefined : type.decode(found.value);
  }
}

/** The error that a call ends with; fails when it succeeds. */
export async function failureOf(answer: Promise<unknown>): Promise<RpcError> {
  const result = await answer.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ("error" in result && result.error instanceof RpcError) return result.error;
  throw new Error(
    `expected an RpcError, got ${JSON.stringify(result, (_key, value) => (typeof value === "bigint" ? String(value) : value))}`,
    { cause: "error" in result ? result.error : undefined },
  );
}

/** Fields of a Route message: "app.example.com/api" or 5432. */
export function routeFields(
  match: string | number,
  service = "web",
  more: Partial<proto.Route> = {},
): object {
  if (typeof match === "number") {
    return { match: { $case: "tcp", value: { port: match } }, service, ...more };
  }
  const slash = match.indexOf("/");
  const domain = slash < 0 ? match : match.slice(0, slash);
  const pathPrefix = slash < 0 ? "" : match.slice(slash);
  return { match: { $case: "http", value: { domain, pathPrefix } }, service, ...more };
}

export const putRouteChange = (...fields: Parameters<typeof routeFields>): object => ({
  change: { $case: "putRoute", value: routeFields(...fields) },
});
export const removeRouteChange = (name: string): object => ({
  change: { $case: "removeRoute", value: name },
});
export const putServiceChange = (
  name: string,
  policy: number = proto.Policy.UNSPECIFIED,
): object => ({
  change: { $case: "putService", value: { name, policy } },
});
export const removeServiceChange = (name: string): object => ({
  change: { $case: "removeService", value: name },
});
