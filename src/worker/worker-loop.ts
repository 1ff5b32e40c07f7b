// One worker: takes tables and listeners from the main thread, serves, and says what it serves.
//
// Knows: the messages of channel/. Does not know: the store, the RPC service, the other workers;
// traffic goes on while any of those is away.

import { decodePiece } from "../channel/encoding.ts";
import type {
  FromWorker,
  ListenerLoan,
  RefusedListener,
  ToWorker,
  WorkerStart,
} from "../channel/messages.ts";
import type { ConnectionEnds, Listener, Stream } from "../io/stream.ts";
import { heartbeatEveryMs } from "../limits.ts";
import type { Backend } from "../model/backend.ts";
import { RouterError, unreachable } from "../model/errors.ts";
import { type Position, positionZero } from "../model/position.ts";
import type { Endpoint } from "../routing/backend-state.ts";
import { RouteTable } from "../routing/route-table.ts";
import { Counter } from "../telemetry/counters.ts";
import type { WorkerContext } from "./context.ts";
import { countOpen } from "./count-open.ts";
import { Door, Room } from "./doors.ts";
import { Drains, leavingOf } from "./drains.ts";
import { HttpSession } from "./http-session.ts";
import { measure } from "./measure.ts";
import { PrefaceSession } from "./preface-session.ts";
import { Sessions } from "./sessions.ts";
import { TcpSession } from "./tcp-session.ts";

/** What the loop needs of the thread it runs in. */
export interface Thread {
  /** ms on the clock that the fleet compares heartbeats with. */
  readonly heartbeatMs: () => number;
  readonly every: (periodMs: number, action: () => void) => () => void;
  readonly after: (delayMs: number, action: () => void) => () => void;
  /** Resolves when others have had their turn. */
  readonly nextTurn: () => Promise<void>;
  /** Fault hooks; see WorkerSettings. */
  readonly crash: () => void;
  readonly stall: (ms: number) => void;
}

type Install = Extract<ToWorker, { kind: "snapshot" | "delta" }>;

export class WorkerLoop {
  readonly #context: WorkerContext;
  readonly #start: WorkerStart;
  readonly #thread: Thread;
  readonly #sessions: Sessions;
  readonly #room: Room;
  readonly #drains: Drains;
  readonly #listeners = new Map<number, Listener>();
  #served = false;
  /** Of the table that serves: what a delta must follow on. */
  #position: Position = positionZero;
  #finish: (() => void) | undefined;

  constructor(context: WorkerContext, start: WorkerStart, thread: Thread) {
    this.#context = context;
    this.#start = start;
    this.#thread = thread;
    this.#sessions = new Sessions(context.counters);
    this.#room = new Room(context, this.#sessions);
    this.#drains = new Drains(context, this.#sessions);
  }

  /** Serves until it has drained. */
  run(): Promise<void> {
    const { control } = this.#start;
    const beat = (): void => {
      this.#context.counters[Counter.heartbeatMs] = this.#thread.heartbeatMs();
    };
    beat();
    this.#thread.every(heartbeatEveryMs, beat);
    control.on("message", (message: ToWorker) => this.#receive(message));
    this.#post({ kind: "ready" });
    return new Promise((resolve) => (this.#finish = resolve));
  }

  #post(message: FromWorker): void {
    this.#start.control.postMessage(message);
  }

  #receive(message: ToWorker): void {
    switch (message.kind) {
      case "snapshot":
      case "delta":
        void this.#install(message);
        return;
      case "explain": {
        const { table, random } = this.#context;
        const explanation = {
          revision: table.revision,
          ...table.explain(message.question, random),
        };
        this.#post({ kind: "explained", id: message.id, explanation });
        return;
      }
      case "measure":
        this.#post({
          kind: "measured",
          id: message.id,
          measures: measure(this.#context.table, message.service, this.#context.nowMs()),
        });
        return;
      case "count":
        this.#post({
          kind: "counted",
          id: message.id,
          counts: countOpen(this.#context.table, message.places),
        });
        return;
      case "health":
        this.#context.health.learn(message.verdicts, this.#context.table);
        return;
      case "ejected":
        this.#context.ejections.told(message.ejections);
        return;
      case "rows":
        this.#context.gates.inFlight.assign(message.came, message.gone);
        return;
      case "sticky-keys":
        this.#context.sticky.replaceKeys(message.keys);
        return;
      case "leaving":
        this.#context.leaving = true;
        return;
      case "drain":
        void this.#drain(message.deadlineMs);
        return;
      case "crash":
        if (this.#start.settings.faultHooks) this.#thread.crash();
        return;
      case "stall":
        if (this.#start.settings.faultHooks) this.#thread.stall(message.ms);
        return;
      default:
        unreachable(message);
    }
  }

  /** Serves the new table, or says why not and keeps the old one. */
  async #install(message: Install): Promise<void> {
    const { counters } = this.#context;
    const { position, revision } = message;
    try {
      if (message.kind === "snapshot") await this.#replace(message);
      else this.#patch(message);
      const refused = await this.#setListeners(message);
      this.#served = true;
      counters[Counter.servedRevision] = revision;
      counters[Counter.changesApplied]! += 1;
      this.#post({ kind: "ack", position, revision, refused });
    } catch (error) {
      counters[Counter.changesNacked]! += 1;
      const reason = RouterError.from(error).message;
      this.#post({ kind: "nack", position, revision, reason });
    }
  }

  /** A whole table, built aside in pieces so that requests are served in between. */
  async #replace(message: Extract<ToWorker, { kind: "snapshot" }>): Promise<void> {
    const { health } = this.#context;
    const { version } = health;
    const builder = RouteTable.build(this.#context.upkeep);
    const leaving: Backend[] = [];
    for (const piece of message.pieces) {
      const changes = decodePiece(piece);
      builder.add(changes);
      leaving.push(...leavingOf(changes));
      if (this.#served) await this.#thread.nextTurn();
    }
    const previous = this.#context.table;
    const old = [...previous.endpoints()];
    this.#context.table = builder.finish(message.revision, previous);
    if (health.version !== version) health.informAll(this.#context.table);
    this.#position = message.position;
    this.#drains.replaced(leaving);
    this.#closeIdle(old.filter((endpoint) => endpoint.users === 0));
  }

  #patch(message: Extract<ToWorker, { kind: "delta" }>): void {
    if (this.#position !== message.base) {
      throw new RouterError(
        "failed-precondition",
        `the delta is for position ${message.base}; this worker is at ${this.#position}`,
      );
    }
    if (message.position === message.base) return;
    const prepared = this.#context.table.prepare(message.changes, message.revision);
    const leaving = leavingOf(message.changes);
    // A drain may end, and its backend go, in one delta: whom to cut is known before.
    const over = this.#drains.over(leaving);
    this.#closeIdle(prepared.apply());
    this.#position = message.position;
    this.#drains.changed(leaving, over);
  }

  #closeIdle(endpoints: readonly Endpoint[]): void {
    for (const endpoint of endpoints) this.#context.pool.close(endpoint);
  }

  async #setListeners(message: Install): Promise<readonly RefusedListener[]> {
    const wanted = message.kind === "snapshot" ? message.listeners : message.opened;
    const closed =
      message.kind === "delta"
        ? message.closed
        : [...this.#listeners.keys()].filter((id) => !wanted.some((loan) => loan.id === id));
    const refused: RefusedListener[] = [];
    for (const loan of wanted) {
      if (this.#listeners.has(loan.id)) continue;
      try {
        this.#listeners.set(loan.id, await this.#listen(loan));
      } catch (error) {
        refused.push({ id: loan.id, reason: RouterError.from(error).message });
      }
    }
    for (const id of closed) {
      this.#listeners.get(id)?.close();
      this.#listeners.delete(id);
    }
    return refused;
  }

  #listen(loan: ListenerLoan): Promise<Listener> {
    const context = this.#context;
    const sessions = this.#sessions;
    const open =
      loan.protocol === "http"
        ? (stream: Stream, ends?: ConnectionEnds) =>
            new HttpSession(context, sessions, stream, ends)
        : (stream: Stream, ends?: ConnectionEnds) =>
            new TcpSession(context, sessions, stream, ends);
    const door = new Door(context, this.#room, loan.row);
    return context.io.listen(loan, (stream) => {
      if (!door.enter()) return stream.destroy(true);
      if (context.prefaced.contains(stream.remoteAddress)) {
        const begin = (): PrefaceSession =>
          new PrefaceSession(context, sessions, stream, { door, open });
        return void sessions.enter(door, begin);
      }
      const place = door.enterFrom(stream.remoteAddress);
      if (place !== undefined) return void sessions.enter(place, () => open(stream));
      door.left();
      stream.destroy(true);
    });
  }

  /** Takes what still waits in the queues, finishes what is open, cuts the rest at the deadline. */
  async #drain(deadlineMs: number): Promise<void> {
    if (this.#context.draining) return;
    this.#context.draining = this.#context.leaving = true;
    for (const listener of this.#listeners.values()) listener.close();
    this.#listeners.clear();
    const deadline = new Promise<void>((resolve) => this.#thread.after(deadlineMs, resolve));
    await Promise.race([this.#sessions.drain(), deadline]);
    const cut = this.#sessions.destroyAll();
    this.#context.mirrors.dropAll();
    this.#closeIdle([...this.#context.table.endpoints()]);
    this.#context.accessLog?.flush();
    this.#post({ kind: "drained", cut });
    this.#finish?.();
  }
}
