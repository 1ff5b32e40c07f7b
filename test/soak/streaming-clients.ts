// Clients that stream both ways at once: node test/soak/streaming-clients.ts [pieces=1000] [MiB=64] [each=2]
//
// Node's client, curl and Python's http.client, so many of each at a time: an upload in pieces of which each leaves when
// the echo of the last is there, so that whatever waits for an end waits for ever; a bulk echoed while it is still sent;
// and server-sent events. Every byte is compared. First straight to the backend, as curl and a busy machine have delays of
// their own, then through the router: 99 of 100 pieces come at most 50 ms later than that. Ends with two lines of figures
// per client, and with status 1 when a promise was broken. Needs curl and python3.

import { percentile, percentilesText } from "../support/percentiles.ts";
import { SideProcess } from "../support/side-process.ts";
import { soakHost, withSoakNode } from "../support/soak-node.ts";
import {
  type StreamingFigures,
  type StreamingPlan,
  type StreamingTarget,
  streamingClients,
} from "../support/streaming-clients.ts";

/** Through the router a piece comes at most so much later than without it, in ms. */
const laterMsMax = 50;
const everyMs = 5;
const mebibyte = 1024 * 1024;

export interface StreamingClientFigures {
  readonly client: string;
  /** Of all clients of this kind. */
  readonly straight: StreamingFigures;
  readonly routed: StreamingFigures;
  /** What should have come of each. */
  readonly pieces: number;
  readonly events: number;
}

export async function runStreamingClients(
  plan: StreamingPlan,
  each: number,
): Promise<StreamingClientFigures[]> {
  const backend = await SideProcess.start("backend-process.ts", ["streaming"]);
  const address = String(backend.ready);
  try {
    return await withSoakNode([address], async ({ httpPort }) => {
      const figures: StreamingClientFigures[] = [];
      for (const client of ["node", "curl", "python"] as const) {
        const run = (port: number): Promise<StreamingFigures> =>
          together(client, { port, host: soakHost }, plan, each);
        const straight = await run(Number(address.split(":")[1]));
        const routed = await run(httpPort);
        const expected = { pieces: plan.pieces * each, events: plan.events * each };
        figures.push({ client, straight, routed, ...expected });
      }
      return figures;
    });
  } finally {
    await backend.end();
  }
}

async function together(
  client: keyof typeof streamingClients,
  target: StreamingTarget,
  plan: StreamingPlan,
  each: number,
): Promise<StreamingFigures> {
  const one = (): Promise<StreamingFigures> => streamingClients[client](target, plan);
  const all = await Promise.all(Array.from({ length: each }, one));
  return {
    echoMs: all.flatMap(({ echoMs }) => echoMs),
    wrongBytes: all.reduce((sum, { wrongBytes }) => sum + wrongBytes, 0),
    eventMs: all.flatMap(({ eventMs }) => eventMs),
  };
}

/** Every promise that the figures break; empty when all were kept. */
export function streamingClientsFailures(all: readonly StreamingClientFigures[]): string[] {
  const failures: string[] = [];
  for (const { client, straight, routed, pieces, events } of all) {
    if (routed.wrongBytes !== 0) failures.push(`${client}: ${routed.wrongBytes} wrong bytes`);
    if (routed.echoMs.length !== pieces || pieces === 0)
      failures.push(`${client}: ${routed.echoMs.length} of ${pieces} pieces came`);
    if (routed.eventMs.length !== events || events === 0)
      failures.push(`${client}: ${routed.eventMs.length} of ${events} events came`);
    for (const what of ["echoMs", "eventMs"] as const) {
      const [before, through] = [straight, routed].map((figures) =>
        percentile(figures[what], 0.99),
      );
      if (through! > before! + laterMsMax)
        failures.push(
          `${client}: p99 of ${what} is ${through!.toFixed(1)}, ${before!.toFixed(1)} without`,
        );
    }
  }
  if (all.length < 3) failures.push("not every client was shown");
  return failures;
}

function text({ echoMs, eventMs, wrongBytes }: StreamingFigures): string {
  const most = (ms: readonly number[]): string =>
    `${percentilesText(ms)}, max ${Math.max(...ms).toFixed(1)}`;
  return (
    `${echoMs.length} pieces came back (${most(echoMs)}), ${eventMs.length} events (${most(eventMs)}), ` +
    `${wrongBytes} wrong bytes`
  );
}

if (import.meta.main) {
  const [pieces, mebibytes, each] = [2, 3, 4].map((at) => process.argv[at]);
  const count = Number(pieces ?? "1000");
  const bulkBytes = Number(mebibytes ?? "64") * mebibyte;
  const plan = { pieces: count, bulkBytes, events: count, everyMs };
  const figures = await runStreamingClients(plan, Number(each ?? "2"));
  const failures = streamingClientsFailures(figures);
  for (const line of failures.slice(0, 10)) console.error(line);
  for (const { client, straight, routed } of figures) {
    console.log(`streaming-clients: ${client}, straight: ${text(straight)}`);
    console.log(`streaming-clients: ${client}, through the router: ${text(routed)}`);
  }
  process.exitCode = failures.length === 0 ? 0 : 1;
}
