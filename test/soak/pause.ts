// The only backend of a service is restarted, and nobody notices: node test/soak/pause.ts [rounds=100] [requestsPerSecond=500]
//
// Under that many requests per second, GET and POST on keep-alive connections, the service is paused; when nothing is in
// flight any more its backend is stopped for good, and a moment later started at the same port; then the service
// resumes. Ends with one line of figures, and with status 1 when a request failed.

import { setTimeout as sleep } from "node:timers/promises";
import { percentilesText } from "../support/percentiles.ts";
import { soakHost, withSoakNode } from "../support/soak-node.ts";
import { noFigures, type SteadyFigures, SteadyRequests } from "../support/steady-requests.ts";
import { StoppableBackend } from "../support/stoppable-backend.ts";

const complaintsShown = 20;
/** Between two requests of one client, in ms. */
const everyMs = 100;
/** How long the backend is gone, and how long it serves between two restarts, in ms. */
const goneMs = 100;
const betweenMs = 100;

export interface PauseFigures extends SteadyFigures {
  rounds: number;
  /** What was in flight when PauseService answered, and what the backend still had open at its stop. */
  inFlight: number;
  openAtStop: number;
  readonly pauseMs: number[];
  seconds: number;
}

export async function runPause(rounds: number, requestsPerSecond: number): Promise<PauseFigures> {
  const figures: PauseFigures = {
    ...noFigures(),
    rounds: 0,
    inFlight: 0,
    openAtStop: 0,
    pauseMs: [],
    seconds: 0,
  };
  const backend = await StoppableBackend.http(10);
  try {
    return await withSoakNode([backend.address], async ({ client, httpPort: port }) => {
      const clients = Array.from(
        { length: Math.ceil((requestsPerSecond * everyMs) / 1000) },
        () => new SteadyRequests({ port, host: soakHost, everyMs }, figures),
      );
      const beganMs = performance.now();
      for (; figures.rounds < rounds; figures.rounds++) {
        await sleep(betweenMs);
        const pausedMs = performance.now();
        const { inFlight } = await client.call("pauseService", { service: "soak" });
        figures.pauseMs.push(performance.now() - pausedMs);
        figures.inFlight += inFlight;
        figures.openAtStop += await backend.stop();
        await sleep(goneMs);
        await backend.start();
        await client.call("resumeService", { service: "soak" });
      }
      figures.seconds = (performance.now() - beganMs) / 1000;
      await Promise.all(clients.map((one) => one.stop()));
      return figures;
    });
  } finally {
    await backend.stop();
  }
}

/** Every promise that the figures break; empty when all were kept. */
export function pauseFailures(figures: PauseFigures): string[] {
  const { failed, inFlight, openAtStop, requests } = figures;
  return [
    ...failed.map((one) => `failed: ${one}`),
    ...(inFlight > 0 ? [`${inFlight} in flight when a pause answered`] : []),
    ...(openAtStop > 0 ? [`${openAtStop} open at the backend when it was stopped`] : []),
    ...(requests === 0 ? ["there was no load"] : []),
  ];
}

if (import.meta.main) {
  const [rounds = "100", requestsPerSecond = "500"] = process.argv.slice(2);
  const figures = await runPause(Number(rounds), Number(requestsPerSecond));
  const failures = pauseFailures(figures);
  for (const line of failures.slice(0, complaintsShown)) console.error(line);
  console.log(
    `pause: ${figures.rounds} restarts in ${figures.seconds.toFixed(0)} s, until quiet ${percentilesText(figures.pauseMs)}; ` +
      `${figures.requests} requests (${(figures.requests / figures.seconds).toFixed(0)}/s), ${figures.failed.length} failed, ${percentilesText(figures.requestMs)}; ` +
      `${figures.inFlight} in flight after a pause, ${figures.openAtStop} open at a stop`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
