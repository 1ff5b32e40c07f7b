// One endpoint of an etcd, called through etcd3: checked for its version before the first call, logged in when a
// user is set, connected to anew when it no longer answers.
//
// Knows: etcd3 and its settings (its watcher, its retries and its circuit breaker are not used). Does not know:
// the other endpoints, what keys mean. Errors are RouterErrors as etcd.ts promises; see etcd-error.ts.

import { noop } from "cockatiel";
import { Etcd3, type IOptions } from "etcd3";
import {
  etcdAnswerBytesMax,
  etcdKeepAliveAnswerMsMax,
  etcdKeepAliveEveryMs,
  etcdLookUpEveryMs,
  etcdReconnectMsMax,
  etcdReconnectMsMin,
} from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import type { System } from "../system.ts";
import { ClientCall } from "./client-call.ts";
import type { Identity } from "./client-identity.ts";
import {
  beforeTheCall,
  type CallFailure,
  etcdError,
  GrpcCode,
  versionError,
  wantsNewToken,
} from "./etcd-error.ts";

/** A call by name, "range of /crosspoint/routes/", and how it is made. It may be made twice if it was refused. */
export interface CallRequest<T> {
  readonly name: string;
  readonly run: (etcd: Etcd3, options: ClientCall["options"]) => Promise<T>;
  /** Answered by a member without a leader too. */
  readonly alone?: boolean;
}

/** etcd3's raw watch. */
export type RawWatch = Awaited<ReturnType<Etcd3["watchClient"]["watch"]>>;

type Outcome<T> =
  | { readonly kind: "answered"; readonly answer: T }
  | { readonly kind: "failed"; readonly failure: CallFailure };

/** The oldest etcd we work with: fragments of watch answers came with it. */
const oldestVersion = [3, 4] as const;

export class Connection {
  readonly endpoint: string;
  readonly #identity: Identity;
  readonly #system: System;
  readonly #calls = new Set<ClientCall>();
  #etcd: Etcd3 | undefined;
  /** Counts the TCP connections that we insisted on. */
  #generation = 0;
  #checked: Promise<void> | undefined;
  #token: Promise<string> | undefined;
  #closed = false;

  /** Touches no network. */
  constructor(endpoint: string, identity: Identity, system: System) {
    this.endpoint = endpoint;
    this.#identity = identity;
    this.#system = system;
  }

  /** Whether calls carry a token that may expire. */
  get hasLogin(): boolean {
    return this.#identity.login !== undefined;
  }

  /** Makes the call, in `timeMs` with everything that must come before it. */
  async call<T>(request: CallRequest<T>, timeMs: number): Promise<T> {
    const untilMs = this.#system.monotonicMs() + timeMs;
    const token = await this.#ready(untilMs);
    let outcome = await this.#once(request, { token, untilMs });
    if (outcome.kind === "failed" && this.hasLogin && wantsNewToken(outcome.failure)) {
      this.#token = undefined;
      outcome = await this.#once(request, { token: await this.#ready(untilMs), untilMs });
    }
    if (outcome.kind === "answered") return outcome.answer;
    throw this.#failed(request.name, outcome.failure, timeMs);
  }

  /** Opens a stream for watches; nothing is asked yet. `call` knows later why it ended. */
  async openWatch(timeMs: number): Promise<{ readonly raw: RawWatch; readonly call: ClientCall }> {
    const token = await this.#ready(this.#system.monotonicMs() + timeMs);
    const call = new ClientCall({ token, needsLeader: true, deadlineMs: undefined });
    return { raw: await this.#open().watchClient.watch(call.options), call };
  }

  /** What the end of a call means; `failure` undefined: the server ended it without a word. */
  errorOf(name: string, failure: CallFailure | undefined): RouterError {
    const ended = { code: GrpcCode.unavailable, details: "ended by the server" };
    return this.#failed(name, failure ?? ended, 0);
  }

  /** A call that should have been answered by now. */
  timeout(name: string, timeMs: number): RouterError {
    this.#renew(this.#etcd);
    return this.#failed(name, { code: GrpcCode.deadlineExceeded, details: "" }, timeMs);
  }

  /** Ends every call. */
  close(): void {
    this.#closed = true;
    for (const call of this.#calls) call.cancel();
    this.#etcd?.close();
    this.#etcd = undefined;
  }

  /** The token to call with, once the endpoint is known to be an etcd of ours. */
  async #ready(untilMs: number): Promise<string | undefined> {
    try {
      this.#checked ??= this.#check(untilMs);
      await this.#within(this.#checked, untilMs);
      if (this.#identity.login === undefined) return undefined;
      this.#token ??= this.#logIn(this.#identity.login, untilMs);
      return await this.#within(this.#token, untilMs);
    } catch (reason) {
      throw beforeTheCall(RouterError.from(reason));
    }
  }

  async #check(untilMs: number): Promise<void> {
    try {
      const { version } = await this.#setUp("status", untilMs, (etcd, options) =>
        etcd.maintenance.status(options),
      );
      if (!isNewEnough(version)) throw versionError(this.endpoint, version);
    } catch (error) {
      this.#checked = undefined;
      throw error;
    }
  }

  async #logIn(
    { user, password }: { readonly user: string; readonly password: string },
    untilMs: number,
  ): Promise<string> {
    try {
      const { token } = await this.#setUp("login", untilMs, (etcd, options) =>
        etcd.auth.authenticate({ name: user, password }, options),
      );
      return token;
    } catch (error) {
      this.#token = undefined;
      throw error;
    }
  }

  async #setUp<T>(name: string, untilMs: number, run: CallRequest<T>["run"]): Promise<T> {
    const timeMs = untilMs - this.#system.monotonicMs();
    const alone = name === "status";
    const outcome = await this.#once({ name, run, alone }, { token: undefined, untilMs });
    if (outcome.kind === "answered") return outcome.answer;
    throw this.#failed(name, outcome.failure, timeMs);
  }

  async #once<T>(
    { run, alone = false }: CallRequest<T>,
    { token, untilMs }: { readonly token: string | undefined; readonly untilMs: number },
  ): Promise<Outcome<T>> {
    const leftMs = untilMs - this.#system.monotonicMs();
    const deadlineMs = this.#system.wallMs() + Math.max(1, leftMs);
    const call = new ClientCall({ token, needsLeader: !alone, deadlineMs });
    const etcd = this.#open();
    this.#calls.add(call);
    try {
      return { kind: "answered", answer: await run(etcd, call.options) };
    } catch (error) {
      const failure = call.failure ?? { code: GrpcCode.unavailable, details: String(error) };
      if (failure.code === GrpcCode.deadlineExceeded) this.#renew(etcd);
      return { kind: "failed", failure };
    } finally {
      this.#calls.delete(call);
    }
  }

  #failed(name: string, failure: CallFailure, timeMs: number): RouterError {
    if (this.#closed) return closedError(this.endpoint);
    const user = this.#identity.login?.user;
    const place = { endpoint: this.endpoint, call: name, user, deadlineMs: timeMs };
    const error = etcdError(failure, place);
    // What comes back may be another program.
    if (error.details.reason === "ETCD_UNREACHABLE") this.#checked = undefined;
    return error;
  }

  /** Does not wait longer than `untilMs` for something that an earlier call began. */
  #within<T>(promise: Promise<T>, untilMs: number): Promise<T> {
    const leftMs = Math.max(0, untilMs - this.#system.monotonicMs());
    return new Promise((resolve, reject) => {
      const cancel = this.#system.after(leftMs, () =>
        reject(this.#failed("login", { code: GrpcCode.deadlineExceeded, details: "" }, leftMs)),
      );
      promise.then(resolve, reject).finally(cancel);
    });
  }

  /**
   * The next call gets a TCP connection of its own: the one that `etcd` has may be half-open, which pings find out
   * only after 15 s. Watches on it end with it, when grpc-js drops connections without a channel (every 10 s).
   */
  #renew(etcd: Etcd3 | undefined): void {
    if (etcd === undefined || this.#etcd !== etcd) return;
    etcd.close();
    this.#etcd = undefined;
    this.#checked = undefined;
  }

  #open(): Etcd3 {
    if (this.#closed) throw closedError(this.endpoint);
    if (this.#etcd === undefined) {
      this.#generation += 1;
      this.#etcd = new Etcd3(this.#settings());
    }
    return this.#etcd;
  }

  #settings(): IOptions {
    const { authority, certificate } = this.#identity;
    return {
      hosts: this.endpoint,
      // Its default policies repeat writes, and shut a healthy server out for 5 s after three deadlines.
      faultHandling: { host: () => noop, global: noop },
      ...(this.endpoint.startsWith("https:")
        ? {
            credentials: {
              rootCertificate: authority,
              ...(certificate === undefined
                ? {}
                : { certChain: certificate.chain, privateKey: certificate.key }),
            },
          }
        : {}),
      grpcOptions: {
        "grpc.keepalive_time_ms": etcdKeepAliveEveryMs,
        "grpc.keepalive_timeout_ms": etcdKeepAliveAnswerMsMax,
        // etcd ends connections that ping without a stream (too_many_pings).
        "grpc.keepalive_permit_without_calls": 0,
        "grpc.max_receive_message_length": etcdAnswerBytesMax,
        "grpc.initial_reconnect_backoff_ms": etcdReconnectMsMin,
        "grpc.max_reconnect_backoff_ms": etcdReconnectMsMax,
        "grpc.dns_min_time_between_resolutions_ms": etcdLookUpEveryMs,
        // A store inside the cluster is not reached through the way out to the web.
        "grpc.enable_http_proxy": 0,
        "grpc.service_config_disable_resolution": 1,
        // grpc-js shares TCP connections between clients with equal options.
        "grpc.primary_user_agent": `crosspoint/${this.#generation}`,
      },
    };
  }
}

function closedError(endpoint: string): RouterError {
  return new RouterError("cancelled", `the client of etcd ${endpoint} is closed`);
}

/** "3.4.23", "3.6.0-rc.1". */
function isNewEnough(version: string): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)\./.exec(version) ?? [];
  if (major === undefined || minor === undefined) return false;
  const [oldestMajor, oldestMinor] = oldestVersion;
  return (
    Number(major) > oldestMajor || (Number(major) === oldestMajor && Number(minor) >= oldestMinor)
  );
}
