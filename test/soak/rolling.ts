// Backends are replaced one after the other, and nobody notices: node test/soak/rolling.ts [replacements=10000] [lanes=16]
//
// Each lane has a service of its own of each kind: an HTTP one, asked on keep-alive connections (GET and POST) and by
// upgraded connections, and a TCP one. A replacement registers a new backend, takes the old one out with a drain of 10 s,
// and stops it for good, with whatever is still open there. The upgraded and TCP connections live longer than it takes
// to bring a new backend, and end by themselves within the drain. Ends with one line of figures, and with status 1 when
// a request failed or a connection was cut.

import { percentilesText } from "../support/percentiles.ts";
import { type Client, routeFields } from "../support/rpc-node.ts";
import { withSoakNode } from "../support/soak-node.ts";
import {
  noFigures,
  type SteadyFigures,
  SteadyRequests,
  SteadyTunnels,
} from "../support/steady-requests.ts";
import { StoppableBackend } from "../support/stoppable-backend.ts";

const complaintsShown = 20;
const drain = { seconds: 10n, nanos: 0 };
/** Of tunnels, in ms. */
const lifeMs = [50, 250] as const;
/** Between two requests of one client, in ms. */
const everyMs = 40;

export interface RollingFigures extends SteadyFigures {
  replacements: number;
  /** What drains said that they cut, and what stopped backends still had open. */
  cutByDrains: number;
  openAtStop: number;
  readonly drainMs: number[];
  seconds: number;
}

export async function runRolling(replacements: number, lanes: number): Promise<RollingFigures> {
  const figures: RollingFigures = {
    ...noFigures(),
    replacements: 0,
    cutByDrains: 0,
    openAtStop: 0,
    drainMs: [],
    seconds: 0,
  };
  return await withSoakNode([], async ({ client, httpPort }) => {
    const all = await Promise.all(
      Array.from({ length: lanes }, (_, n) => Lane.open(client, httpPort, n, figures)),
    );
    const beganMs = performance.now();
    let left = replacements;
    await Promise.all(
      all.flatMap((lane) =>
        (["http", "tcp"] as const).map(async (kind) => {
          while (left-- > 0) await lane.replace(kind);
        }),
      ),
    );
    figures.seconds = (performance.now() - beganMs) / 1000;
    await Promise.all(all.map((lane) => lane.end()));
    return figures;
  });
}

type Kind = "http" | "tcp";

class Lane {
  readonly #client: Client;
  readonly #name: string;
  readonly #figures: RollingFigures;
  readonly #backends: Record<Kind, StoppableBackend>;
  #clients: readonly { stop(): Promise<void> }[] = [];

  static async open(
    client: Client,
    httpPort: number,
    n: number,
    figures: RollingFigures,
  ): Promise<Lane> {
    const backends = { http: await StoppableBackend.http(5), tcp: await StoppableBackend.tcp() };
    const lane = new Lane(client, `lane-${n}`, figures, backends);
    const host = `lane-${n}.example.com`;
    for (const kind of ["http", "tcp"] as const) await lane.#register(kind, backends[kind]);
    await client.call("addRoute", { route: routeFields(host, lane.#serviceOf("http")) });
    const { route } = await client.call("addRoute", {
      route: routeFields(0, lane.#serviceOf("tcp")),
    });
    const port = route?.match?.$case === "tcp" ? route.match.value.port : 0;
    lane.#clients = [
      new SteadyRequests({ port: httpPort, host, everyMs }, figures),
      new SteadyRequests({ port: httpPort, host, everyMs }, figures),
      new SteadyTunnels({ port: httpPort, host, lifeMs }, figures),
      new SteadyTunnels({ port, host: undefined, lifeMs }, figures),
    ];
    return lane;
  }

  private constructor(
    client: Client,
    name: string,
    figures: RollingFigures,
    backends: Record<Kind, StoppableBackend>,
  ) {
    this.#client = client;
    this.#name = name;
    this.#figures = figures;
    this.#backends = backends;
  }

  async replace(kind: Kind): Promise<void> {
    const old = this.#backends[kind];
    const fresh = kind === "http" ? await StoppableBackend.http(5) : await StoppableBackend.tcp();
    this.#backends[kind] = fresh;
    await this.#register(kind, fresh);
    const beganMs = performance.now();
    const { cut } = await this.#client.call("deregisterBackend", {
      service: this.#serviceOf(kind),
      address: old.address,
      drain,
    });
    this.#figures.drainMs.push(performance.now() - beganMs);
    this.#figures.cutByDrains += cut;
    this.#figures.openAtStop += await old.stop();
    this.#figures.replacements++;
  }

  async end(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.stop()));
    await Promise.all(Object.values(this.#backends).map((backend) => backend.stop()));
  }

  async #register(kind: Kind, { address }: StoppableBackend): Promise<void> {
    const backend = { service: this.#serviceOf(kind), address };
    await this.#client.call("registerBackend", { backend });
  }

  #serviceOf(kind: Kind): string {
    return `${this.#name}-${kind}`;
  }
}

/** Every promise that the figures break; empty when all were kept. */
export function rollingFailures(figures: RollingFigures): string[] {
  const { failed, cut, cutByDrains, openAtStop } = figures;
  return [
    ...failed.map((one) => `failed: ${one}`),
    ...cut.map((one) => `cut: ${one}`),
    ...(cutByDrains > 0 ? [`${cutByDrains} cut by drains`] : []),
    ...(openAtStop > 0 ? [`${openAtStop} open at backends when they were stopped`] : []),
    ...(figures.requests === 0 || figures.tunnels === 0 ? ["there was no load"] : []),
  ];
}

if (import.meta.main) {
  const [replacements = "10000", lanes = "16"] = process.argv.slice(2);
  const figures = await runRolling(Number(replacements), Number(lanes));
  const failures = rollingFailures(figures);
  for (const line of failures.slice(0, complaintsShown)) console.error(line);
  console.log(
    `rolling: ${figures.replacements} replacements in ${figures.seconds.toFixed(0)} s (${(figures.replacements / figures.seconds).toFixed(1)}/s), ` +
      `drain ${percentilesText(figures.drainMs)}; ${figures.requests} requests, ${figures.failed.length} failed, ${percentilesText(figures.requestMs)}; ` +
      `${figures.tunnels} upgraded and TCP connections, ${figures.cut.length} cut; ${figures.cutByDrains} cut by drains, ${figures.openAtStop} open at a stop`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
