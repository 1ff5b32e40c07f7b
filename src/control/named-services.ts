// The figures of the services that have metrics of their own. Workers are asked at each scrape, and only about these.

import type { BackendMeasure } from "../channel/messages.ts";
import { latencyBuckets, latencyPercentileMs } from "../model/latency-buckets.ts";
import type { ServiceName } from "../model/names.ts";
import type { Service } from "../model/service.ts";
import type { ServiceFigures } from "../telemetry/service-metrics.ts";
import type { KnownOfBackend } from "./backend-status.ts";
import type { MeasuredListParts } from "./measured-lists.ts";
import type { NodeMeasure } from "./measures.ts";

type Parts = Pick<MeasuredListParts, "serving" | "health"> & {
  readonly view: Pick<MeasuredListParts["view"], "table">;
};
const totals = ["total", "failures", "ejections"] as const;

type Totals = Readonly<Partial<Record<(typeof totals)[number], number>>>;

/** What only grows of one service, and what each of its backends last said of it. */
interface Tally {
  readonly sums: Record<(typeof totals)[number], number>;
  /** By address and worker. */
  readonly last: Map<string, ReadonlyMap<number, Totals>>;
}

export class NamedServices {
  readonly #parts: Parts;
  readonly #names: readonly ServiceName[];
  readonly #tallies = new Map<ServiceName, Tally>();

  constructor(parts: Parts, names: readonly ServiceName[]) {
    this.#parts = parts;
    this.#names = names;
  }

  /** Without those that no worker says anything of at the moment. */
  async figures(signal: AbortSignal): Promise<readonly ServiceFigures[]> {
    const asked = this.#names.map(async (name) => {
      const measures = await this.#parts.serving.measure(name, signal);
      return this.#figuresOf(name, measures);
    });
    const answers = await Promise.allSettled(asked);
    return answers.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  }

  #figuresOf(service: ServiceName, measures: readonly NodeMeasure[]): ServiceFigures {
    const { table } = this.#parts.view;
    const settings: Service | undefined = table.service(service);
    const { sums } = this.#tallied(service, measures);
    const latencies = new Float64Array(latencyBuckets);
    for (const { latencies: counts = [] } of measures) {
      for (let bucket = 0; bucket < counts.length; bucket++) latencies[bucket]! += counts[bucket]!;
    }
    const sum = (figure: (measure: BackendMeasure) => number): number =>
      measures.reduce((all, measure) => all + figure(measure), 0);
    return {
      service,
      backends: this.#states(service, measures),
      requestsInFlight: sum(({ inFlight }) => inFlight),
      connectionsOpen: sum(({ connectionsOpen = 0 }) => connectionsOpen),
      waiting: this.#parts.serving.loadOf?.(service)?.waiting ?? 0,
      isPaused: settings?.options?.pause !== undefined,
      requestsTotal: sums.total,
      failuresTotal: sums.failures,
      ejectionsTotal: sums.ejections,
      latencyMs: {
        p50: latencyPercentileMs(latencies, 0.5),
        p90: latencyPercentileMs(latencies, 0.9),
        p99: latencyPercentileMs(latencies, 0.99),
      },
    };
  }

  /**
   * What a backend did since it was last asked, in each worker: a new one begins at 0, and one that is silent this time
   * goes on from where it was.
   */
  #tallied(service: ServiceName, measures: readonly NodeMeasure[]): Tally {
    const known = this.#tallies.get(service);
    const tally = known ?? { sums: { total: 0, failures: 0, ejections: 0 }, last: new Map() };
    this.#tallies.set(service, tally);
    const before = new Map(tally.last);
    tally.last.clear();
    for (const measure of measures) {
      const workers = new Map<number, Totals>(before.get(measure.address));
      for (const [worker, now] of measure.byWorker ?? [[0, measure] as const]) {
        count(tally.sums, now, workers.get(worker));
        workers.set(worker, now);
      }
      tally.last.set(measure.address, workers);
    }
    return tally;
  }

  #states(service: ServiceName, measures: readonly BackendMeasure[]): ServiceFigures["backends"] {
    const { view, health } = this.#parts;
    const measureOf = new Map(measures.map((measure) => [measure.address, measure]));
    const counts = { draining: 0, unhealthy: 0, ejected: 0, usable: 0 };
    for (const { address, drain } of view.table.backendsOf(service).values()) {
      const verdict: KnownOfBackend["verdict"] = health?.verdictOf(service, address);
      if (drain !== undefined) counts.draining++;
      else if (verdict?.state === "unhealthy") counts.unhealthy++;
      else if (measureOf.get(address)?.ejection !== undefined) counts.ejected++;
      else counts.usable++;
    }
    return counts;
  }
}

function count(sums: Tally["sums"], now: Totals, before: Totals | undefined): void {
  for (const name of totals) {
    const [is, was] = [now[name] ?? 0, before?.[name] ?? 0];
    sums[name] += is >= was ? is - was : is;
  }
}
