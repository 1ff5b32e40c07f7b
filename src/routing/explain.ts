// Why a request goes where it goes, in sentences for people.
//
// Asks the same indexes as matching does, one candidate at a time; test/routing checks that both
// always name the same route.

import type { BackendState } from "./backend-state.ts";
import { type CompiledRoute, prefixOf, shownRoute } from "./compiled-route.ts";
import type { Candidate, DomainIndex } from "./domain-index.ts";
import { hostOf } from "./host.ts";

/** Routes per domain whose path misses that are named; a domain may have thousands. */
const missesShownMax = 20;

/** What is asked; the channel's ExplainQuestion fits. */
export type ExplainQuestionLike =
  | {
      readonly kind: "http";
      /** As in the Host field; case, port and trailing dot do not matter. */
      readonly host: string;
      /** As sent; a query is cut off. */
      readonly path: string;
    }
  | { readonly kind: "tcp"; readonly port: number };

/** Names are empty strings when there is none; the steps say why. */
export interface RoutingExplanation {
  readonly route: string;
  readonly service: string;
  /** "10.0.0.7:8080" */
  readonly backend: string;
  readonly steps: readonly string[];
  /** What the router would answer by itself; 0: a backend answers, or bytes have no status. */
  readonly status: number;
}

const encoder = new TextEncoder();

export function explainHttp(
  domains: DomainIndex,
  question: { readonly host: string; readonly path: string },
  random: () => number,
): RoutingExplanation {
  const hostBytes = encoder.encode(question.host);
  const host = hostOf(hostBytes, 0, hostBytes.length);
  const path = /^[^?#]*/.exec(question.path)?.[0] ?? "";
  const steps = [
    `looking for a route for host ${JSON.stringify(host)}, path ${JSON.stringify(path)}`,
  ];
  let winner: CompiledRoute | undefined;
  for (const candidate of domains.candidates(host, encoder.encode(path))) {
    winner = explainCandidate(candidate, winner, steps);
  }
  if (winner === undefined) {
    steps.push("no route matches: 404 no-route");
    return { route: "", service: "", backend: "", steps, status: 404 };
  }
  return explainBackend(winner, steps, random);
}

export function explainTcp(
  route: CompiledRoute | undefined,
  port: number,
  random: () => number,
): RoutingExplanation {
  if (route === undefined) {
    const steps = [`no route has TCP port ${port}: nothing listens there`];
    return { route: "", service: "", backend: "", steps, status: 0 };
  }
  return explainBackend(route, [`${shownRoute(route)} wins: it has the port`], random);
}

/** Tells how one domain's routes fared; answers the winner so far. */
function explainCandidate(
  candidate: Candidate,
  winnerBefore: CompiledRoute | undefined,
  steps: string[],
): CompiledRoute | undefined {
  const { domain, routes, routeCount, covering } = candidate;
  let winner = winnerBefore;
  for (const route of covering) {
    if (winner === undefined) {
      winner = route;
      steps.push(`${shownRoute(route)} wins`);
    } else if (winner === winnerBefore) {
      steps.push(`${shownRoute(route)} loses: ${shownRoute(winner)} has the more specific domain`);
    } else {
      steps.push(`${shownRoute(route)} loses: ${prefixOf(winner)} is the longer prefix`);
    }
  }
  const missed = routeCount - covering.length;
  let shown = 0;
  for (const route of routes) {
    if (shown === missed || shown === missesShownMax) break;
    if (covering.includes(route)) continue;
    shown++;
    steps.push(`${shownRoute(route)} does not match: the path is not under ${prefixOf(route)}`);
  }
  if (missed > shown)
    steps.push(`${missed - shown} more routes of ${domain} do not match the path`);
  return winner;
}

function explainBackend(
  route: CompiledRoute,
  steps: string[],
  random: () => number,
): RoutingExplanation {
  const { service } = route;
  if (service === undefined)
    return { route: route.name, service: "", backend: "", steps, status: 404 };
  const count = service.backends.length;
  const backend = service.picker.peek(random);
  const answer = { route: route.name, service: service.name, steps, status: 0 };
  if (backend === undefined) {
    steps.push(
      route.route.match.kind === "tcp"
        ? `service ${service.name} has no backend: the connection is closed`
        : `service ${service.name} has no backend: 503 no-backend`,
    );
    const status = route.route.match.kind === "tcp" ? 0 : 503;
    return { ...answer, backend: "", status };
  }
  steps.push(
    `service ${service.name} picks among ${count} ${count === 1 ? "backend" : "backends"} by ${service.policy}`,
  );
  if (route.sticky) steps.push("the route is sticky: a valid cookie's backend would come first");
  steps.push(`backend ${shownBackend(backend)}`);
  return { ...answer, backend: backend.address };
}

function shownBackend(backend: BackendState): string {
  const failure = backend.lastFailure === "" ? "" : `, last failure: ${backend.lastFailure}`;
  return `${backend.address}, weight ${backend.weight}, ${backend.endpoint.inFlight} in flight${failure}`;
}
