// The gRPC door: RouterCalls, health and reflection on one port.
//
// The only file besides the command line that knows grpc-js. Decides nothing: it turns a call into
// a request and a context, and an answer or an error into what goes over the wire.

import * as grpc from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { type RouterServiceServer, RouterServiceService } from "../gen/crosspoint/v1/router.ts";
import {
  ServerReflectionService as ReflectionV1,
  type ServerReflectionServer,
} from "../gen/grpc/reflection/v1/reflection.ts";
import { ServerReflectionService as ReflectionV1Alpha } from "../gen/grpc/reflection/v1alpha/reflection.ts";
import {
  rpcCallsPerConnectionMax,
  rpcIdleMsMax,
  rpcKeepAliveAnswerMsMax,
  rpcKeepAliveEveryMs,
  rpcRequestBytesMax,
  watchStalledMsMax,
} from "../limits.ts";
import { invalidField, RouterError } from "../model/errors.ts";
import type { System } from "../system.ts";
import type { Log } from "../telemetry/log-port.ts";
import type { CallContext } from "./deadline.ts";
import { grpcStatusOf } from "./grpc-status.ts";
import { OpenStreams } from "./open-streams.ts";
import { Reflection } from "./reflection.ts";
import type { RouterCalls } from "./router-service.ts";
import { removeStaleSocket } from "./stale-socket.ts";

export type GrpcAddress =
  /** `address` without brackets; port 0: any free one. */
  | { readonly kind: "tcp"; readonly address: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

export interface GrpcServerOptions {
  readonly address: GrpcAddress;
  readonly service: RouterCalls;
  /** FileDescriptorSet of the contract (src/gen/image.binpb), for reflection. */
  readonly image: Uint8Array;
  readonly system: System;
  readonly log: Log;
}

type ServiceName = "" | "crosspoint.v1.RouterService";
const healthNames: readonly ServiceName[] = ["", "crosspoint.v1.RouterService"];

export class GrpcServer {
  /** "127.0.0.1:7070", "[::1]:7070" or "unix:/run/crosspoint.sock", with the real port. */
  readonly address: string;
  readonly #server: grpc.Server;
  readonly #health: HealthImplementation;
  readonly #streams: OpenStreams;
  readonly #adapter: CallAdapter;
  #serving = false;
  readonly #system: System;

  /** Answers NOT_SERVING by health until `setServing(true)`. Throws "failed-precondition" when it cannot listen. */
  static async listen(options: GrpcServerOptions): Promise<GrpcServer> {
    redirectLog(silence);
    const streams = new OpenStreams();
    const health = new HealthImplementation(
      Object.fromEntries(healthNames.map((name) => [name, "NOT_SERVING" as const])),
    );
    const server = new grpc.Server({
      "grpc.max_receive_message_length": rpcRequestBytesMax,
      "grpc.max_concurrent_streams": rpcCallsPerConnectionMax,
      "grpc.keepalive_time_ms": rpcKeepAliveEveryMs,
      "grpc.keepalive_timeout_ms": rpcKeepAliveAnswerMsMax,
      "grpc.max_connection_idle_ms": rpcIdleMsMax,
    });
    const adapter = new CallAdapter(options, streams);
    server.addService(guardedDefinition, adapter.handlers());
    addHealth(server, health, streams);
    addReflection(server, new Reflection(options.image), streams);
    // What goes wrong here is thrown; grpc-js would say it a second time.
    const address = await bind(server, options.address);
    redirectLog(options.log);
    const { system } = options;
    return new GrpcServer(address, { server, health, streams, adapter, system });
  }

  private constructor(
    address: string,
    parts: {
      readonly server: grpc.Server;
      readonly health: HealthImplementation;
      readonly streams: OpenStreams;
      readonly adapter: CallAdapter;
      readonly system: System;
    },
  ) {
    this.address = address;
    this.#server = parts.server;
    this.#health = parts.health;
    this.#streams = parts.streams;
    this.#adapter = parts.adapter;
    this.#system = parts.system;
  }

  /** What health checks hear. */
  setServing(serving: boolean): void {
    if (serving === this.#serving) return;
    this.#serving = serving;
    for (const name of healthNames) {
      this.#health.setStatus(name, serving ? "SERVING" : "NOT_SERVING");
    }
  }

  /** New calls are refused, streams end with UNAVAILABLE; who waits for an answer goes on waiting. */
  refuse(): void {
    this.#adapter.refusing = true;
    this.#streams.endAll();
  }

  /** Takes no new call, ends streams with UNAVAILABLE, lets other calls finish for `deadlineMs`, then cuts. */
  async close(deadlineMs: number): Promise<void> {
    this.setServing(false);
    this.#streams.endAll();
    await new Promise<void>((resolve) => {
      const cancel = this.#system.after(deadlineMs, () => {
        this.#server.forceShutdown();
        resolve();
      });
      this.#server.tryShutdown(() => {
        cancel();
        resolve();
      });
    });
  }
}

/** RouterCalls -> handlers of grpc-js. */
class CallAdapter {
  /** The node leaves. */
  refusing = false;
  readonly #options: GrpcServerOptions;
  readonly #streams: OpenStreams;

  constructor(options: GrpcServerOptions, streams: OpenStreams) {
    this.#options = options;
    this.#streams = streams;
  }

  handlers(): RouterServiceServer {
    const { service } = this.#options;
    return {
      addRoute: this.#unary(service.addRoute),
      removeRoute: this.#unary(service.removeRoute),
      getRoute: this.#unary(service.getRoute),
      listRoutes: this.#unary(service.listRoutes),
      applyChanges: this.#unary(service.applyChanges),
      putService: this.#unary(service.putService),
      removeService: this.#unary(service.removeService),
      listServices: this.#unary(service.listServices),
      registerBackend: this.#unary(service.registerBackend),
      deregisterBackend: this.#unary(service.deregisterBackend),
      listBackends: this.#unary(service.listBackends),
      pauseService: this.#unary(service.pauseService),
      resumeService: this.#unary(service.resumeService),
      drainNode: this.#unary(service.drainNode),
      explain: this.#unary(service.explain),
      listNodes: this.#unary(service.listNodes),
      listRejectedEntries: this.#unary(service.listRejectedEntries),
      getStore: this.#unary(service.getStore),
      acceptStore: this.#unary(service.acceptStore),
      watch: (call) => void this.#stream(call, (signal) => service.watch(call.request, signal)),
    };
  }

  #unary<Request extends object, Response>(
    work: (request: Request, context: CallContext) => Promise<Response>,
  ): grpc.handleUnaryCall<Request, Response> {
    return (call, callback) => {
      const run = async (): Promise<Response> => {
        throwIfUnreadable(call.request);
        if (this.refusing) throw leaving();
        return await work(call.request, this.#contextOf(call));
      };
      run().then(
        // oxlint-disable-next-line promise/no-callback-in-promise
        (answer) => callback(null, answer),
        (error: unknown) => callback(this.#failure(error, call.getPath())),
      );
    };
  }

  async #stream<Request extends object, Response>(
    call: grpc.ServerWritableStream<Request, Response>,
    open: (signal: AbortSignal) => AsyncIterable<Response>,
  ): Promise<void> {
    const controller = new AbortController();
    let ended = false;
    const endWith = (error: unknown): void => {
      if (ended) return;
      ended = true;
      controller.abort();
      call.emit("error", this.#failure(error, call.getPath()));
    };
    const forget = this.#streams.add(() => endWith(leaving()));
    call.on("cancelled", () => controller.abort());
    try {
      throwIfUnreadable(call.request);
      if (this.refusing) throw leaving();
      for await (const message of open(controller.signal)) {
        if (controller.signal.aborted) break;
        if (!call.write(message)) await this.#drained(call, controller.signal);
      }
      if (!ended) call.end();
    } catch (error) {
      // Whoever left hears nothing any more, and what broke off because of it is no failure.
      if (!controller.signal.aborted) endWith(error);
    } finally {
      controller.abort();
      forget();
    }
  }

  /** Until the client has read on; a client that does not is let go. */
  #drained(call: NodeJS.EventEmitter, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancelTimer = this.#options.system.after(watchStalledMsMax, () => {
        forget();
        reject(stalled());
      });
      function forget(): void {
        cancelTimer();
        call.removeListener("drain", goOn);
        signal.removeEventListener("abort", goOn);
      }
      function goOn(): void {
        forget();
        resolve();
      }
      call.once("drain", goOn);
      signal.addEventListener("abort", goOn, { once: true });
      if (signal.aborted) goOn();
    });
  }

  #contextOf(call: grpc.ServerUnaryCall<unknown, unknown>): CallContext {
    const controller = new AbortController();
    if (call.cancelled) controller.abort();
    else call.once("cancelled", () => controller.abort());
    const deadline = Number(call.getDeadline());
    const remainingMs = deadline - this.#options.system.wallMs();
    return {
      signal: controller.signal,
      remainingMs: Number.isFinite(remainingMs) ? remainingMs : undefined,
    };
  }

  #failure(reason: unknown, path: string): Partial<grpc.StatusObject> {
    const error = RouterError.from(reason);
    if (error.code === "internal") this.#options.log.error("a call failed", { path, cause: error });
    const { code, message, details } = grpcStatusOf(error);
    const metadata = new grpc.Metadata();
    metadata.set("grpc-status-details-bin", Buffer.from(details));
    return { code: grpc.status[code], details: message, metadata };
  }
}

/**
 * The contract's definition with a deserializer that never throws: grpc-js would answer INTERNAL,
 * where the caller is to blame. It also sees what ts-proto loses: a map's key "__proto__".
 */
const unreadable = new WeakMap<object, RouterError>();
const guardedDefinition: typeof RouterServiceService = Object.assign(
  {},
  RouterServiceService,
  ...Object.entries(RouterServiceService).map(([name, method]) => ({
    [name]: { ...method, requestDeserialize: guarded(method.requestDeserialize) },
  })),
);

function guarded(decode: (bytes: Buffer) => object): (bytes: Buffer) => object {
  return (bytes) => {
    let request: object;
    try {
      request = decode(bytes);
      if (bytes.includes(protoKey)) {
        unreadable.set(request, invalidField("labels", 'the key "__proto__" is not allowed'));
      }
    } catch {
      request = decode(Buffer.alloc(0));
      unreadable.set(
        request,
        new RouterError("invalid-argument", "the request's bytes are not a message of its type"),
      );
    }
    return request;
  };
}

/** A map entry's key: field 1, 9 bytes. */
const protoKey = Buffer.from("\n\t__proto__", "latin1");

function throwIfUnreadable(request: object): void {
  const error = unreadable.get(request);
  if (error !== undefined) throw error;
}

/** The package's own handlers, but with streams that can be ended. */
function addHealth(server: grpc.Server, health: HealthImplementation, streams: OpenStreams): void {
  health.addToServer({
    addService(definition, implementation) {
      const { watch } = implementation;
      server.addService(definition, {
        ...implementation,
        watch: (call: grpc.ServerWritableStream<unknown, unknown>): void => {
          track(call, streams);
          Reflect.apply(watch!, implementation, [call]);
        },
      });
    },
  });
}

function addReflection(server: grpc.Server, reflection: Reflection, streams: OpenStreams): void {
  const serverReflectionInfo: ServerReflectionServer["serverReflectionInfo"] = (call) => {
    track(call, streams);
    call.on("data", (request) => {
      // One question, one answer: a client that does not read stops being asked.
      if (!call.write(reflection.answer(request))) {
        call.pause();
        call.once("drain", () => call.resume());
      }
    });
    call.on("end", () => call.end());
  };
  server.addService(ReflectionV1, { serverReflectionInfo });
  server.addService(ReflectionV1Alpha, { serverReflectionInfo });
}

function track(call: NodeJS.EventEmitter, streams: OpenStreams): void {
  const { message } = grpcStatusOf(leaving());
  const forget = streams.add(() => {
    call.emit("error", { code: grpc.status.UNAVAILABLE, details: message });
  });
  for (const event of ["cancelled", "close", "finish"]) call.once(event, forget);
}

async function bind(server: grpc.Server, address: GrpcAddress): Promise<string> {
  if (address.kind === "unix") await removeStaleSocket(address.path);
  const host = address.kind === "unix" ? `unix:${address.path}` : hostText(address.address);
  const target = address.kind === "unix" ? host : `${host}:${address.port}`;
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(target, grpc.ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(cannotListen(target, error));
    });
  });
  return address.kind === "unix" ? host : `${host}:${port}`;
}

function hostText(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}

const listenErrors: Readonly<Record<string, string>> = {
  EADDRINUSE: "another process listens there; stop it or choose another --rpc",
  EACCES: "not permitted; choose a port above 1023 or a path you may write",
  EADDRNOTAVAIL: "this machine has no such address",
  ENOENT: "there is no such directory",
};

function cannotListen(target: string, error: Error): RouterError {
  const code = /\bE[A-Z]{3,}\b/.exec(error.message)?.[0] ?? "";
  const why = listenErrors[code] ?? error.message;
  return new RouterError(
    "failed-precondition",
    `cannot listen on ${target}: ${why}`,
    {},
    { cause: error },
  );
}

function leaving(): RouterError {
  return new RouterError("unavailable", "this node is leaving: ask another, or again later", {
    reason: "NODE_LEAVING",
  });
}

function stalled(): RouterError {
  return new RouterError(
    "resource-exhausted",
    `nothing was read for ${watchStalledMsMax} ms: watch again from the last bookmark`,
    { reason: "WATCH_STALLED" },
  );
}

/** grpc-js writes to standard error by itself; what it says belongs in our log. */
function redirectLog(log: Pick<Log, "warn">): void {
  const say = (...words: unknown[]): void =>
    log.warn("grpc", { text: words.map(String).join(" ") });
  grpc.setLogger({ error: say, info: say, debug: say });
}

const silence: Pick<Log, "warn"> = { warn() {} };
