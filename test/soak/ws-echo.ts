// WebSockets that stay open while everything around them changes: node test/soak/ws-echo.ts [connections=1000] [seconds=30]
//
// The `ws` package on both ends: that many connections through a node's two workers, each sending message after message
// of 1 to some thousand characters and comparing what comes back, while other routes, services, backends and ports are
// written without a pause. Ends with one line of figures, and with status 1 when a promise was broken.

import { EchoingConnection } from "../support/lasting-connections.ts";
import { startHttpBackend } from "../support/named-backend.ts";
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
  readonly writes: number;
}

export async function runWsEcho(options: {
  readonly connections: number;
  readonly seconds: number;
  readonly seed: number;
}): Promise<WsEchoFigures> {
  const backend = await startHttpBackend("ws");
  const echoing: EchoingConnection[] = [];
  try {
    return await withSoakNode([backend.address], async ({ client, httpPort }) => {
      while (echoing.length < options.connections) {
        const count = Math.min(batch, options.connections - echoing.length);
        const open = (): Promise<EchoingConnection> =>
          EchoingConnection.webSocket(httpPort, soakHost);
        echoing.push(...(await Promise.all(Array.from({ length: count }, open))));
      }
      const changes = new UnrelatedChanges(client, new SeededRandom(options.seed), soakHost);
      const endMs = performance.now() + options.seconds * 1000;
      for (let wanted = writesAtOnce; performance.now() < endMs; wanted += writesAtOnce)
        await changes.applyUntil(wanted);
      for (const connection of echoing) await connection.finish();
      const echoes = echoing.map((connection) => connection.echoes);
      return {
        connections: echoing.length,
        cut: echoing.flatMap(({ trouble }) => trouble ?? []),
        echoesMin: Math.min(...echoes),
        echoes: echoes.reduce((sum, one) => sum + one, 0),
        writes: changes.writes,
      };
    });
  } finally {
    for (const connection of echoing) connection.close();
    await backend.close();
  }
}

/** Every promise that the figures break; empty when all were kept. */
export function wsEchoFailures({ cut, echoesMin, writes }: WsEchoFigures): string[] {
  const failures = [...cut];
  if (echoesMin < 2) failures.push("a connection did not echo twice");
  if (writes === 0) failures.push("nothing changed");
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
      `at least ${figures.echoesMin} each, during ${figures.writes} writes (SEED=${seed})`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
