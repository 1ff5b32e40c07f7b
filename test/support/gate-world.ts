// Several workers of a node without sockets: what they share, one table each, time under the test's hand. Requests are
// choices of a backend that end when the test says so.

import type { Change } from "../../src/model/change.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { parseRevision } from "../../src/model/revision.ts";
import type { ServiceOptions } from "../../src/model/service-options.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import type { ServiceState } from "../../src/routing/service-state.ts";
import { BackendChoice } from "../../src/worker/backend-choice.ts";
import type { WorkerLimits } from "../../src/worker/make-context.ts";
import type { WaiterOwner } from "../../src/worker/waiting-line.ts";
import { FakeSystem } from "./fake-system.ts";
import { type Recording, recordingContext } from "./recording-context.ts";
import { RecordingStream } from "./recording-stream.ts";
import { RowKeeper } from "./row-keeper.ts";
import { backendOf, putRoute } from "./table-fixtures.ts";

export interface GateEvent {
  readonly request: GateRequest;
  readonly event: "went" | "refused";
  /** It went before. */
  readonly again: boolean;
}

/** One request, from its coming to its end. */
export class GateRequest implements WaiterOwner {
  readonly id: number;
  readonly worker: GateWorker;
  readonly choice: BackendChoice;
  /** "went": it has a backend; else "waits", "done", or why it was refused. */
  state = "new";
  backend = "";
  isConnection = false;
  /** It went before, and came back into the line. */
  #again = false;
  readonly #noted: (event: GateEvent) => void;

  constructor(id: number, worker: GateWorker, noted: (event: GateEvent) => void) {
    this.id = id;
    this.worker = worker;
    this.#noted = noted;
    this.choice = new BackendChoice(worker.context);
  }

  begin(isConnection = false): this {
    this.isConnection = isConnection;
    const client = { ends: new RecordingStream(), prefaces: undefined };
    this.choice.begin(this.worker.service, client);
    if (isConnection) this.choice.asConnection();
    if (!this.#tries()) {
      const refusal = this.choice.wait(this);
      this.state = refusal ?? "waits";
      if (refusal !== undefined) this.#over();
    }
    return this;
  }

  onTurn(): boolean {
    return this.#tries();
  }

  onWaitedTooLong(reason: string): void {
    this.state = reason;
    this.#over();
  }

  /** Its backend failed before anything was sent: the next one, or the line. */
  fail(): void {
    this.#again = true;
    if (!this.#tries()) this.state = this.choice.wait(this) ?? "waits";
  }

  /** Answered, or its client has left. */
  end(): void {
    this.state = "done";
    this.choice.done();
  }

  #over(): void {
    this.choice.done();
    this.#note("refused");
  }

  /** False: it has to wait. */
  #tries(): boolean {
    const backend = this.choice.next(undefined);
    if (backend === undefined && this.choice.mustWait) return false;
    this.backend = backend?.address ?? "";
    this.state = backend === undefined ? "no-backend" : "went";
    if (backend === undefined) this.choice.done();
    this.#note(backend === undefined ? "refused" : "went");
    return true;
  }

  #note(event: GateEvent["event"]): void {
    this.#noted({ request: this, event, again: this.#again });
  }
}

export interface GateWorker extends Recording {
  readonly slot: number;
  readonly service: ServiceState;
}

export class GateWorld {
  readonly system: FakeSystem;
  readonly keeper: RowKeeper;
  readonly workers: GateWorker[] = [];
  /** Every request that went or was refused, in that order. */
  readonly events: GateEvent[] = [];
  readonly #limits: Partial<WorkerLimits>;
  #requests = 0;
  #revision = 1;
  #changes: readonly Change[];

  constructor(options: {
    readonly workers?: number;
    /** Room for workers that the test plays itself. */
    readonly spareSlots?: number;
    readonly backends?: number;
    readonly service?: ServiceOptions;
    readonly seed?: number;
    readonly rows?: number;
    readonly limits?: Partial<WorkerLimits>;
  }) {
    const {
      workers = 1,
      spareSlots = 0,
      backends = 1,
      service,
      seed = 1,
      rows = 64,
      limits = {},
    } = options;
    this.system = new FakeSystem({ seed });
    this.keeper = new RowKeeper(workers + spareSlots, rows);
    this.#limits = limits;
    this.#changes = [
      putRoute("all", "*"),
      ...Array.from({ length: backends }, (_, i) => ({
        kind: "backend-put" as const,
        backend: backendOf("web", `10.0.0.${i + 1}:80`),
      })),
      ...(service === undefined ? [] : [putOptions(service)]),
    ];
    this.keeper.follow(this.#changes);
    for (let slot = 0; slot < workers; slot++) this.workers.push(this.#worker(slot));
  }

  #worker(slot: number): GateWorker {
    const { system, keeper } = this;
    const recording = recordingContext(this.#limits, {}, { system, inFlight: keeper.memory, slot });
    const { context } = recording;
    this.#tellRows(recording);
    const builder = RouteTable.build(context.upkeep);
    builder.add(this.#changes);
    context.table = builder.finish(parseRevision(1));
    return {
      ...recording,
      slot,
      get service() {
        return context.table.service("web")!;
      },
    };
  }

  #tellRows({ context }: Recording): void {
    const rows = this.keeper.follow([]);
    if (rows.kind === "rows") context.gates.inFlight.assign(rows.came, rows.gone);
  }

  /** The same change for every worker, or for those named. */
  change(changes: readonly Change[], workers = this.workers): void {
    this.keeper.follow(changes);
    this.#revision++;
    for (const worker of workers) {
      this.#tellRows(worker);
      worker.context.table.prepare(changes, parseRevision(this.#revision)).apply();
    }
  }

  configure(options: ServiceOptions | undefined): void {
    this.change([putOptions(options)]);
  }

  /** A worker has died and another one has its slot; what it had is gone. */
  replace(slot: number, clear: () => void): void {
    // What is left of it in this thread does nothing any more.
    const { inFlight } = this.workers[slot]!.context.gates;
    Object.assign(inFlight, { set() {}, claim: () => false });
    clear();
    this.workers[slot] = this.#worker(slot);
  }

  request(slot = 0, isConnection = false): GateRequest {
    const worker = this.workers[slot]!;
    const noted = (event: GateEvent): void => void this.events.push(event);
    return new GateRequest(++this.#requests, worker, noted).begin(isConnection);
  }

  /** Turns end and timers fire. */
  pass(ms: number): void {
    const { workers, system } = this;
    for (const end = system.monotonicMs() + ms; system.monotonicMs() < end; ) {
      system.advance(1);
      for (const { context } of workers) context.wheel.advance(system.monotonicMs());
    }
  }
}

export function putOptions(options: ServiceOptions | undefined): Change {
  const name = parseServiceName("web");
  return {
    kind: "service-put",
    service: { name, policy: undefined, ...(options !== undefined && { options }) },
  };
}
