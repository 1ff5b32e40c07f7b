// One client connection of a TCP route: choose a backend, connect, then bytes both ways.

import type { CloseReason, ConnectionEnds, Stream, StreamEvents } from "../io/stream.ts";
import type { TcpSettings } from "../model/service-options.ts";
import type { BackendState } from "../routing/backend-state.ts";
import { AccessField } from "../telemetry/access-fields.ts";
import { Counter } from "../telemetry/counters.ts";
import { isGuarded, refusedAt } from "./admission.ts";
import { BackendChoice } from "./backend-choice.ts";
import { peerIpOf } from "./client-ip.ts";
import type { PrefacedClient } from "./client-prefaces.ts";
import type { WorkerContext } from "./context.ts";
import { HeldBytes } from "./held-bytes.ts";
import { pickHashOfPeer } from "./pick-hash.ts";
import type { Session, Sessions } from "./sessions.ts";
import { Tunnel, type TunnelOwner } from "./tunnel.ts";
import type { UpstreamConnection, UpstreamOwner } from "./upstream-connection.ts";
import type { WaiterOwner, WaitRefusal } from "./waiting-line.ts";

export class TcpSession implements StreamEvents, UpstreamOwner, TunnelOwner, Session, WaiterOwner {
  readonly #context: WorkerContext;
  readonly #sessions: Sessions;
  readonly #stream: Stream;
  readonly #client: PrefacedClient;
  readonly #choice: BackendChoice;
  readonly #startMs: number;
  readonly #held = new HeldBytes();
  readonly #line = { route: "", service: "", backend: "", reason: "", revision: 0 };
  /** As they were when it came. */
  #settings: TcpSettings | undefined;
  #connection: UpstreamConnection | undefined;
  #tunnel: Tunnel | undefined;
  #inputEnded = false;
  #over = false;

  /** @param ends As of an HttpSession; the route is that of the stream's own port. */
  constructor(context: WorkerContext, sessions: Sessions, stream: Stream, ends?: ConnectionEnds) {
    this.#context = context;
    this.#sessions = sessions;
    this.#stream = stream;
    this.#client = { ends: ends ?? stream, prefaces: undefined };
    this.#choice = new BackendChoice(context);
    this.#startMs = context.nowMs();
    stream.events = this;
    // Until a backend is connected nothing is read: what the client sends waits in the kernel.
    stream.pause();
    sessions.add(this);
    context.counters[Counter.tcpConnectionsOpen]! += 1;
    this.#begin();
  }

  #begin(): void {
    const { table, counters, random } = this.#context;
    const route = table.matchTcp(this.#stream.localPort);
    this.#line.revision = table.revision;
    const service = route?.serviceFor(random);
    if (route === undefined || service === undefined) {
      counters[Counter.noRoute]! += 1;
      return this.#give("no-route");
    }
    this.#line.route = route.name;
    const refused = isGuarded(route)
      ? refusedAt(this.#context, route, peerIpOf(this.#client.ends.remoteAddress))
      : undefined;
    if (refused !== undefined) return this.#give(refused.reason);
    this.#line.service = service.name;
    const isKeyed = service.hashKey !== undefined;
    const hash = isKeyed ? pickHashOfPeer(this.#client.ends.remoteAddress) : 0;
    this.#choice.begin(service, this.#client, undefined, hash);
    this.#settings = this.#choice.asConnection();
    this.#tryNext("no-backend");
  }

  #tryNext(otherwise: string): void {
    if (this.#goesOn(otherwise)) return;
    this.#connection = undefined;
    const refusal = this.#choice.wait(this);
    if (refusal !== undefined) this.#give(refusal);
  }

  /** Dials, or gives up; false: it has to wait for room, or for the end of a pause. */
  #goesOn(otherwise: string): boolean {
    const backend = this.#choice.next(undefined);
    if (backend !== undefined) {
      this.#line.backend = backend.endpoint.address;
      this.#connection = this.#choice.dial(backend, this);
      return true;
    }
    if (this.#choice.mustWait) return false;
    this.#context.counters[Counter.noBackend]! += 1;
    this.#give(otherwise);
    return true;
  }

  onTurn(): boolean {
    return this.#goesOn("no-backend");
  }

  onWaitedTooLong(reason: WaitRefusal): void {
    this.#give(reason);
  }

  /** There is nobody to talk to: the connection is closed. */
  #give(reason: string): void {
    this.#line.reason = reason;
    this.#stream.destroy(false);
    this.#leave(0, 0);
  }

  // --- the client, until the tunnel stands

  onConnect(): void {}

  onData(bytes: Uint8Array, start: number, end: number): void {
    this.#held.add(bytes, start, end);
  }

  onEnd(): void {
    this.#inputEnded = true;
  }

  onWritable(): void {}

  onClose(): void {
    this.#connection?.destroy(true);
    this.#line.reason = "client-closed";
    this.#leave(0, 0);
  }

  // --- the backend, until the tunnel stands

  onUpstreamConnect(): void {
    const connection = this.#connection!;
    connection.detach();
    this.#choice.answered(0);
    this.#choice.succeeded();
    const ends = { client: this.#stream, upstream: connection.stream };
    const tunnel = new Tunnel(this.#context, ends, this, this.#settings);
    this.#tunnel = tunnel;
    tunnel.fromClient(this.#held.bytes, this.#held.start, this.#held.end);
    this.#held.clear();
    if (this.#inputEnded) tunnel.clientEnded();
  }

  onUpstreamData(): void {}

  onUpstreamEnd(): void {}

  onUpstreamWritable(): void {}

  onUpstreamClose(reason: CloseReason, message: string): void {
    this.#context.counters[Counter.upstreamConnectFailures]! += 1;
    this.#choice.connectFailed(reason, message);
    this.#tryNext("no-backend-reachable");
  }

  onTunnelEnd(bytesFromClient: number, bytesToClient: number): void {
    this.#connection?.tunnelEnded();
    this.#line.reason = this.#tunnel?.cutBy ?? "";
    this.#leave(bytesFromClient, bytesToClient);
  }

  // --- the worker

  /** Whoever connected is being served, silent or not. */
  readonly waitingSinceMs = Number.POSITIVE_INFINITY;

  giveWay(): void {}

  /** An open TCP connection has no point at which it could be asked to leave: it runs on. */
  drain(): void {}

  destroy(): void {
    if (this.#tunnel !== undefined) return this.#tunnel.destroy();
    this.#stream.destroy(true);
    this.onClose();
  }

  cutAt(backend: BackendState): void {
    if (this.#choice.current !== backend) return;
    if (this.#tunnel !== undefined) return this.#tunnel.destroy("backend-drained");
    this.#connection?.destroy(true);
    this.#stream.destroy(true);
    this.#line.reason = "backend-drained";
    this.#leave(0, 0);
  }

  #leave(bytesIn: number, bytesOut: number): void {
    if (this.#over) return;
    this.#over = true;
    const tries = this.#choice.tries;
    this.#choice.done();
    this.#context.counters[Counter.tcpConnectionsOpen]! -= 1;
    this.#log(bytesIn, bytesOut, tries);
    this.#sessions.remove(this);
  }

  #log(bytesIn: number, bytesOut: number, tries: number): void {
    const { accessLog, nowMs } = this.#context;
    if (accessLog === undefined) return;
    const line = this.#line;
    accessLog.begin();
    accessLog.client(this.#client.ends.remoteAddress);
    accessLog.textField(AccessField.protocol, "tcp");
    accessLog.numberField(AccessField.bytesIn, bytesIn);
    accessLog.numberField(AccessField.bytesOut, bytesOut);
    accessLog.numberField(AccessField.durationMs, nowMs() - this.#startMs);
    const { waitedMs } = this.#choice;
    if (waitedMs > 0) accessLog.numberField(AccessField.queuedMs, waitedMs);
    accessLog.place(line.route, line.service, line.backend);
    accessLog.numberField(AccessField.tries, tries);
    accessLog.numberField(AccessField.revision, line.revision);
    accessLog.textField(AccessField.reason, line.reason);
    accessLog.end();
  }
}
