// What stands before a service, in sentences for people: its pause, its limits, what is in flight on this node, who waits.

import type { ServiceState } from "./service-state.ts";

export function explainLimits(service: ServiceState, steps: string[]): void {
  const { name, pause, gate } = service;
  const limits = service.options?.limits;
  if (pause !== undefined) {
    const since = new Date(pause.sinceMs).toISOString();
    steps.push(
      `service ${name} is paused since ${since}: requests wait, ${pause.queue} at most, for ${pause.queueMs} ms at most`,
    );
  }
  const bounds = [
    ...bound(limits?.requests, "requests"),
    ...bound(limits?.connections, "connections"),
    ...bound(limits?.requestsPerBackend, "requests to one backend"),
    ...bound(limits?.connectionsPerBackend, "connections to one backend"),
  ];
  if (bounds.length > 0) {
    const { queue = 0 } = limits ?? {};
    const rest = queue === 0 ? "nobody waits for room" : `${queue} may wait for room`;
    steps.push(`service ${name} has at most ${bounds.join(", ")} on each node; ${rest}`);
  }
  if (gate === undefined) return;
  const { requests, connections, waiting } = gate.figures();
  const flight = `${requests} in flight, ${connections} of them connections`;
  steps.push(`on this node ${flight}; ${waiting} ${waiting === 1 ? "waits" : "wait"}`);
}

function bound(max: number | undefined, what: string): readonly string[] {
  return max === undefined ? [] : [`${max} ${what}`];
}
