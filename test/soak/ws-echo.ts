// WebSockets that stay open while everything around them changes: node test/soak/ws-echo.ts [connections=1000] [seconds=30]
//
// The `ws` package on both ends: that many connections through a node's two workers, each sending message after message
// of 1 to some thousand characters and comparing what comes back, while routes are written without a pause: those of
// others, and their own: a narrower route over them, the policy of their service, a second backend that comes and goes.
// Amid these changes some of the connections are replaced by new ones. Ends with one line of figures, and with status 1
// when a promise was broken.

import { EchoingConnection } from "../support/lasting-connections.ts";
import { startHttpBackend } from "../support/named-backend.ts";
import { RelatedChanges } from "../support/related-changes.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { soakHost, withSoakNode } from "../support/soak-node.ts";
import { UnrelatedChanges } from "../support/unrelated-changes.ts";

/** Opened at a time. */
const batch = 50;
/** Changes are applied in lots of so many, until the time is up. */
const writesAtOnce = 20;

export interface WsEchoFigures {
  readonly connections: number;
  /** Connections that ended, or whose echo was something else. */
  readonly cut: readonly string[];
  /** The fewest that any connection had. */
  readonly echoesMin: number;
  readonly echoes: number;
  /** Of others' routes, services, backends and ports. */
  readonly writes: number;
  /** Of what the connections themselves go through. */
  readonly ownWrites: number;
  /** Opened amid the changes in the place of others. */
  readonly renewed: number;
}

export async function runWsEcho(options: {
  readonly connections: number;
  readonly seconds: number;
  readonly seed: number;
}): Promise<WsEchoFigures> {
  const backend = await startHttpBackend("ws");
  const second = await startHttpBackend("ws");
  const echoing: EchoingConnection[] = [];
  try {
    return await withSoakNode([backend.address], async ({ client, httpPort }) => {
      const open = (): Promise<EchoingConnection> =>
        EchoingConnection.webSocket(httpPort, soakHost);
      while (echoing.length < options.connections) {
        const count = Math.min(batch, options.connections - echoing.length);
        echoing.push(...(await Promise.all(Array.from({ length: count }, open))));
      }
      const renewal = new Renewal(echoing, open);
      const own = { host: soakHost, path: "/ws", service: "soak", address: second.address };
      const related = new RelatedChanges(client, own);
      const changes = new UnrelatedChanges(client, new SeededRandom(options.seed), soakHost);
      const endMs = performance.now() + options.seconds * 1000;
      for (let wanted = writesAtOnce; performance.now() < endMs; wanted += writesAtOnce) {
        await related.come();
        await renewal.replaceOne();
        await changes.applyUntil(wanted);
        await related.go();
        await renewal.replaceOne();
      }
      await Promise.all(echoing.map((connection) => connection.finish()));
      const all = [...echoing, ...renewal.finished];
      const echoes = all.map((connection) => connection.echoes);
      return {
        connections: echoing.length,
        cut: all.flatMap(({ trouble }) => trouble ?? []),
        echoesMin: Math.min(...echoes),
        echoes: echoes.reduce((sum, one) => sum + one, 0),
        writes: changes.writes,
        ownWrites: related.writes,
        renewed: renewal.finished.length,
      };
    });
  } finally {
    for (const connection of echoing) connection.close();
    await backend.close();
    await second.close();
  }
}

/** Ends one connection after the other, and puts a new one in its place. */
class Renewal {
  readonly finished: EchoingConnection[] = [];
  readonly #echoing: EchoingConnection[];
  readonly #open: () => Promise<EchoingConnection>;

  constructor(echoing: EchoingConnection[], open: () => Promise<EchoingConnection>) {
    this.#echoing = echoing;
    this.#open = open;
  }

  async replaceOne(): Promise<void> {
    const at = this.finished.length % this.#echoing.length;
    const old = this.#echoing[at]!;
    this.#echoing[at] = await this.#open();
    await old.finish();
    old.close();
    this.finished.push(old);
  }
}

/** Every promise that the figures break; empty when all were kept. */
export function wsEchoFailures(figures: WsEchoFigures): string[] {
  const failures = [...figures.cut];
  // One that came last has its last echo alone.
  if (figures.echoesMin < 1) failures.push("a connection did not echo");
  if (figures.writes === 0 || figures.ownWrites === 0) failures.push("nothing changed");
  if (figures.renewed === 0) failures.push("nobody came amid the changes");
  return failures;
}

if (import.meta.main) {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  const [connections, seconds] = [
    Number(process.argv[2] ?? "1000"),
    Number(process.argv[3] ?? "30"),
  ];
  const figures = await runWsEcho({ connections, seconds, seed });
  const failures = wsEchoFailures(figures);
  for (const line of failures.slice(0, 10)) console.error(line);
  console.log(
    `ws-echo: of ${figures.connections} WebSockets ${figures.cut.length} were cut or echoed wrongly; ${figures.echoes} echoes checked, ` +
      `at least ${figures.echoesMin} each, during ${figures.writes} writes of others and ${figures.ownWrites} of their own; ` +
      `${figures.renewed} were replaced by new ones meanwhile (SEED=${seed})`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
