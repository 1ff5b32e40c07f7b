// Why a request goes where it goes, in sentences for people: which route, of all candidates.
//
// Asks the same indexes and the same conditions as matching does, one candidate at a time; test/routing checks
// that both always name the same route. What the route then does, explain-outcome.ts tells.

import { type CompiledRoute, shownRoute } from "./compiled-route.ts";
import type { Candidate, DomainIndex } from "./domain-index.ts";
import { whyConditionsFail } from "./explain-conditions.ts";
import {
  explainHttpOutcome,
  explainTcpOutcome,
  type RoutingExplanation,
} from "./explain-outcome.ts";
import { hostOf } from "./host.ts";
import { compareOrder, whyFirst } from "./precedence.ts";
import { type HttpQuestion, QuestionFacts } from "./question-facts.ts";
import type { RequestFacts } from "./request-facts.ts";

/** Routes of one domain that are named for one kind of reason; a domain may have thousands. */
const routesShownMax = 20;
/** Routes of one domain that are told in their order. */
const routesSortedMax = 1_000;

/** What is asked; the channel's ExplainQuestion fits. */
export type ExplainQuestionLike = HttpQuestion | { readonly kind: "tcp"; readonly port: number };

const encoder = new TextEncoder();

export function explainHttp(
  domains: DomainIndex,
  question: HttpQuestion,
  random: () => number,
): RoutingExplanation {
  const hostBytes = encoder.encode(question.host);
  const host = hostOf(hostBytes, 0, hostBytes.length);
  const { path, query } = partsOf(question.path);
  const steps = [
    `looking for a route for host ${JSON.stringify(host)}, path ${JSON.stringify(path)}`,
  ];
  const facts = new QuestionFacts(question, query.slice(1));
  let winner: CompiledRoute | undefined;
  for (const candidate of domains.candidates(host, encoder.encode(path))) {
    winner = explainCandidate(candidate, winner, { question, facts, steps });
  }
  if (winner === undefined) {
    steps.push("no route matches: 404 no-route");
    return { route: "", service: "", backend: "", steps, status: 404 };
  }
  return explainHttpOutcome(winner, { question, path, query }, steps, random);
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
  return explainTcpOutcome(route, [`${shownRoute(route)} wins: it has the port`], random);
}

/** The path, and the query with its "?". */
function partsOf(target: string): { readonly path: string; readonly query: string } {
  const parts = /^([^?#]*)(\?[^#]*)?/.exec(target);
  return { path: parts?.[1] ?? "", query: parts?.[2] ?? "" };
}

interface Asked {
  readonly question: HttpQuestion;
  readonly facts: RequestFacts;
  readonly steps: string[];
}

/** Tells how one domain's routes fared; answers the winner so far. */
function explainCandidate(
  { domain, routes, routeCount, covering }: Candidate,
  winnerBefore: CompiledRoute | undefined,
  { question, facts, steps }: Asked,
): CompiledRoute | undefined {
  let winner = winnerBefore;
  const lost = new ShortList(steps, `more routes of ${domain} lose`);
  const failed = new ShortList(steps, `more routes of ${domain} ask for something else`);
  for (const route of covering) {
    const why = whyConditionsFail(route, question, facts);
    if (why !== undefined) {
      failed.add(() => `${shownRoute(route)} does not match: ${why}`);
    } else if (winner === undefined) {
      winner = route;
      steps.push(`${shownRoute(route)} wins`);
    } else {
      const first = winner;
      lost.add(() => `${shownRoute(route)} loses: ${whyItLoses(first, route, winnerBefore)}`);
    }
  }
  lost.end();
  failed.end();
  const missed = new ShortList(steps, `more routes of ${domain} do not match the path`);
  const isCovering = new Set(covering);
  for (const route of inOrder(routes, routeCount)) {
    if (missed.isFull) break;
    if (isCovering.has(route)) continue;
    missed.add(() => `${shownRoute(route)} does not match: ${whyPathMisses(route)}`);
  }
  missed.end(routeCount - covering.length);
  return winner;
}

/** In the order in which they are asked, while sorting them takes no time. */
function inOrder(routes: Iterable<CompiledRoute>, count: number): Iterable<CompiledRoute> {
  return count > routesSortedMax ? routes : [...routes].toSorted(compareOrder);
}

function whyItLoses(
  winner: CompiledRoute,
  loser: CompiledRoute,
  winnerBefore: CompiledRoute | undefined,
): string {
  return winner === winnerBefore
    ? `${shownRoute(winner)} has the more specific domain`
    : whyFirst(winner, loser);
}

function whyPathMisses(route: CompiledRoute): string {
  return route.isExact ? `the path is not ${route.path}` : `the path is not under ${route.path}`;
}

/** Writes the first `routesShownMax` of its sentences, and at the end how many more there were. */
class ShortList {
  readonly #steps: string[];
  readonly #more: string;
  #count = 0;

  constructor(steps: string[], more: string) {
    this.#steps = steps;
    this.#more = more;
  }

  get isFull(): boolean {
    return this.#count >= routesShownMax;
  }

  add(sentence: () => string): void {
    if (!this.isFull) this.#steps.push(sentence());
    this.#count++;
  }

  /** @param count Of all, when not every one was added. */
  end(count = this.#count): void {
    if (count > routesShownMax) this.#steps.push(`${count - routesShownMax} ${this.#more}`);
  }
}
