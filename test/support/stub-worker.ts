// A worker for tests of the fleet: keeps a table, accepts from its loans, greets every connection with
// "WORKER REVISION THREAD KEY\n" (the first byte of what it would seal with) and echoes. Routes with the label `stub` make it misbehave.

import { Socket } from "node:net";
import { threadId } from "node:worker_threads";
import { decodePiece } from "../../src/channel/encoding.ts";
import type {
  FromWorker,
  ListenerLoan,
  StickyKeys,
  ToWorker,
  WorkerStart,
} from "../../src/channel/messages.ts";
import { acceptWatched, watchReadable } from "../../src/io/net/accept-watch.ts";
import { PeerAddress } from "../../src/io/sockets.ts";
import type { Change } from "../../src/model/change.ts";
import { positionZero } from "../../src/model/position.ts";
import { Table } from "../../src/model/table.ts";
import { Counter, countersIn } from "../../src/telemetry/counters.ts";

export type StubLabel =
  | "nack" // refuses any revision with this route
  | "nack-delta" // refuses it as a delta, takes it in a snapshot
  | "deaf" // takes it, and cannot listen for it
  | "troubled" // takes it, and says that something is wrong with itself
  | "silent" // never answers a revision with this route
  | "quit" // its task ends
  | "die-at-start"; // throws when its first snapshot has this route

export default function work(start: WorkerStart): Promise<void> {
  return new Promise((resolve) => new Stub(start, resolve).run());
}

class Stub {
  readonly #start: WorkerStart;
  readonly #finish: () => void;
  readonly #counters: Float64Array;
  readonly #watches = new Map<number, { readonly loan: ListenerLoan; close(): void }>();
  readonly #connections = new Set<Socket>();
  #table = new Table();
  #position = positionZero;
  #first = true;
  #stickyKeys: StickyKeys;

  constructor(start: WorkerStart, finish: () => void) {
    this.#start = start;
    this.#finish = finish;
    this.#stickyKeys = start.settings.stickyKeys;
    this.#counters = countersIn(start.counters);
  }

  run(): void {
    const beat = (): void => {
      this.#counters[Counter.heartbeatMs]! += 1;
    };
    beat();
    setInterval(beat, 20).unref();
    this.#start.control.on("message", (message: ToWorker) => this.#receive(message));
    this.#post({ kind: "ready" });
  }

  #post(message: FromWorker): void {
    this.#start.control.postMessage(message);
  }

  #receive(message: ToWorker): void {
    switch (message.kind) {
      case "snapshot":
      case "delta":
        return this.#install(message);
      case "explain":
        return this.#post({
          kind: "explained",
          id: message.id,
          explanation: {
            revision: this.#table.revision,
            route: "r",
            service: "s",
            backend: "b",
            status: 0,
            steps: [],
          },
        });
      case "health":
      case "ejected":
      case "rows":
        return;
      case "sticky-keys":
        this.#stickyKeys = message.keys;
        return;
      case "measure": {
        const service = message.service ?? "all";
        // "none": a worker that does not answer.
        if (service === "none") return;
        const measure = { service, address: "10.0.0.1:80", inFlight: 1, total: 10, failures: 2 };
        const lastFailure = this.#start.slot === 1 ? "refused" : "";
        return this.#post({
          kind: "measured",
          id: message.id,
          measures: [{ ...measure, lastFailure }],
        });
      }
      case "count":
        return this.#post({ kind: "counted", id: message.id, counts: message.places.map(() => 1) });
      case "leaving":
        return;
      case "drain":
        return this.#drain(message.deadlineMs);
      case "crash":
        throw new Error("told to crash");
      case "stall": {
        const until = performance.now() + message.ms;
        while (performance.now() < until);
        return;
      }
      default:
        message satisfies never;
    }
  }

  #install(message: Extract<ToWorker, { kind: "snapshot" | "delta" }>): void {
    const { kind, position, revision } = message;
    const changes =
      message.kind === "delta"
        ? message.changes
        : message.pieces.flatMap((piece) => decodePiece(piece));
    const labels = new Set(changes.map(labelOf));
    if (labels.has("die-at-start") && this.#first) throw new Error("cannot start with this table");
    this.#first = false;
    if (labels.has("troubled")) this.#post({ kind: "trouble", reason: "the stub is troubled" });
    if (labels.has("silent")) return;
    if (labels.has("quit")) {
      this.#finish();
      return;
    }
    if (labels.has("nack") || (labels.has("nack-delta") && kind === "delta")) {
      return this.#post({ kind: "nack", position, revision, reason: `the stub refuses a ${kind}` });
    }
    if (message.kind === "snapshot") {
      this.#table = new Table();
      for (const id of this.#watches.keys()) {
        if (!message.listeners.some((loan) => loan.id === id)) this.#close(id);
      }
      for (const loan of message.listeners) this.#open(loan);
    } else {
      if (message.base !== this.#position) {
        return this.#post({ kind: "nack", position, revision, reason: "the base is wrong" });
      }
      if (labels.has("deaf")) return this.#ackDeaf(message);
      for (const loan of message.opened) this.#open(loan);
      for (const id of message.closed) this.#close(id);
    }
    if (position > this.#position) this.#table.apply({ revision, changes });
    this.#position = position;
    this.#counters[Counter.changesApplied]! += 1;
    this.#post({ kind: "ack", position, revision, refused: [] });
  }

  #ackDeaf({ position, revision, opened }: Extract<ToWorker, { kind: "delta" }>): void {
    this.#position = position;
    const refused = opened.map(({ id }) => ({ id, reason: "the stub is deaf" }));
    this.#post({ kind: "ack", position, revision, refused });
  }

  #open(loan: ListenerLoan): void {
    if (this.#watches.has(loan.id) || loan.fd === undefined) return;
    const watch = watchReadable(loan.fd, () => this.#accept(loan));
    this.#watches.set(loan.id, { loan, close: () => watch.close() });
  }

  #close(id: number): void {
    const watch = this.#watches.get(id);
    if (watch === undefined) return;
    this.#accept(watch.loan);
    watch.close();
    this.#watches.delete(id);
  }

  #accept(loan: ListenerLoan): void {
    const peer = new PeerAddress();
    for (;;) {
      const fd = acceptWatched(loan.fd!, peer);
      if (fd < 0) return;
      const socket = new Socket({ fd, readable: true, writable: true });
      this.#counters[Counter.connectionsAccepted]! += 1;
      this.#connections.add(socket);
      socket.on("close", () => this.#connections.delete(socket)).on("error", () => {});
      const [sealsWith] = this.#stickyKeys.current;
      const words = [this.#start.workerId, this.#table.revision, threadId, sealsWith];
      socket.write(`${words.join(" ")}\n`);
      socket.pipe(socket);
    }
  }

  #drain(deadlineMs: number): void {
    for (const id of this.#watches.keys()) this.#close(id);
    const began = performance.now();
    const look = setInterval(() => {
      const late = performance.now() - began >= deadlineMs;
      if (this.#connections.size > 0 && !late) return;
      clearInterval(look);
      this.#post({ kind: "drained", cut: this.#connections.size });
      for (const socket of this.#connections) socket.destroy();
      this.#finish();
      this.#start.control.close();
    }, 5);
  }
}

function labelOf(change: Change): string | undefined {
  return change.kind === "route-put" ? change.route.labels["stub"] : undefined;
}
