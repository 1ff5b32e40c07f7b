// What becomes of a request that a route has won, in sentences for people: who may come, where it leads, which
// service and backend it would get.

import { CidrSet } from "../model/cidr.ts";
import type { Access, RateLimit, RouteOptions } from "../model/route-options.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import { explainChoice } from "./explain-choice.ts";
import { explainTries } from "./explain-tries.ts";
import type { HttpQuestion } from "./question-facts.ts";
import { type AskedUrl, redirectTarget, replacedPrefix } from "./redirect-target.ts";
import type { ServiceState } from "./service-state.ts";
import { liveWeightOf, type Split } from "./split.ts";

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

interface AskedHttp {
  readonly question: HttpQuestion;
  readonly path: string;
  /** With its "?". */
  readonly query: string;
}

const noOptions: RouteOptions = {};

export function explainHttpOutcome(
  route: CompiledRoute,
  asked: AskedHttp,
  steps: string[],
  random: () => number,
): RoutingExplanation {
  const { access, rateLimit, pages } = route.options ?? noOptions;
  const ownAnswer = (status: number): RoutingExplanation => {
    if (pages?.some((page) => page.status === status) === true) {
      steps.push(`the route has a page of its own for ${status}`);
    }
    return { route: route.name, service: "", backend: "", steps, status };
  };
  if (access !== undefined && !explainAccess(access, asked.question.clientAddress, steps)) {
    steps.push("the client may not come: 403");
    return ownAnswer(403);
  }
  if (rateLimit !== undefined) steps.push(`${rateText(rateLimit, "requests")}; the rest gets 429`);
  const status = explainOwnAnswer(route, asked, steps);
  if (status !== 0) return ownAnswer(status);
  const service = explainService(route, steps, random);
  if (service === undefined) return ownAnswer(404);
  explainChanges(route, asked.path, steps);
  const backend = explainChoice(service, asked.question, route.sticky, steps, random);
  if (backend === undefined && service.pause !== undefined) {
    steps.push(`${nobodyAt(service)}: the request waits for one, as long as it may`);
    return { route: route.name, service: service.name, backend: "", steps, status: 0 };
  }
  if (backend === undefined) {
    steps.push(`${nobodyAt(service)}: 503 no-backend`);
    return { ...ownAnswer(503), service: service.name };
  }
  explainTries(route.options ?? noOptions, route.sticky, steps);
  const { name } = route;
  return { route: name, service: service.name, backend: backend.address, steps, status: 0 };
}

export function explainTcpOutcome(
  route: CompiledRoute,
  steps: string[],
  random: () => number,
): RoutingExplanation {
  const { access, rateLimit } = route.options ?? noOptions;
  if (access !== undefined) explainAccess(access, "", steps);
  if (rateLimit !== undefined) {
    steps.push(`${rateText(rateLimit, "connections")}; the rest is closed`);
  }
  const service = explainService(route, steps, random);
  const answer = { route: route.name, service: service?.name ?? "", steps, status: 0 };
  const backend = service && explainChoice(service, undefined, false, steps, random);
  if (service === undefined || backend === undefined) {
    const end = service?.pause === undefined ? "is closed" : "waits for one, as long as it may";
    steps.push(`${nobodyAt(service)}: the connection ${end}`);
    return { ...answer, backend: "" };
  }
  return { ...answer, backend: backend.address };
}

function nobodyAt(service: ServiceState | undefined): string {
  const toUse = service === undefined || service.backends.length === 0 ? "" : " that can be used";
  return `service ${service?.name ?? ""} has no backend${toUse}`;
}

/** Whether the client may come; nobody in particular may, and is told who may not. */
function explainAccess({ allow, deny }: Access, clientAddress: string, steps: string[]): boolean {
  if (clientAddress === "") {
    const says = [
      ...(deny.length === 0 ? [] : [`not ${listed(deny)}`]),
      ...(allow.length === 0 ? [] : [`only ${listed(allow)}`]),
    ];
    steps.push(`who may come: ${says.join(", and of the others ")}`);
    return true;
  }
  const rangeOf = (ranges: readonly string[]): string | undefined =>
    ranges.find((range) => CidrSet.parse([range], "access").contains(clientAddress));
  const denied = rangeOf(deny);
  if (denied !== undefined) {
    steps.push(`client ${clientAddress} is denied: it is in ${denied}`);
    return false;
  }
  if (allow.length === 0) {
    steps.push(`client ${clientAddress} is in no denied range`);
    return true;
  }
  const allowed = rangeOf(allow);
  steps.push(
    allowed === undefined
      ? `client ${clientAddress} is not allowed: only ${listed(allow)}`
      : `client ${clientAddress} is allowed: it is in ${allowed}`,
  );
  return allowed !== undefined;
}

/** Ranges that are named; a list may have hundreds. */
const rangesShownMax = 8;

function listed(ranges: readonly string[]): string {
  const shown = ranges.slice(0, rangesShownMax).join(", ");
  const more = ranges.length - rangesShownMax;
  return more > 0 ? `${shown} and ${more} more` : shown;
}

function rateText({ requests, perMs, burst, key }: RateLimit, noun: string): string {
  const whose = key === "client" ? "of each client address" : "of all clients together";
  return `at most ${requests} ${noun} in ${perMs / 1000} s, ${burst} at once, ${whose}, on each node`;
}

/** The status of a redirect or a fixed answer; 0: a service answers. */
function explainOwnAnswer(
  route: CompiledRoute,
  { question, path, query }: AskedHttp,
  steps: string[],
): number {
  const { options } = route;
  const { redirect, answer } = options ?? noOptions;
  if (answer !== undefined) {
    steps.push(`the router answers ${answer.status} by itself`);
    return answer.status;
  }
  if (redirect === undefined || route.port !== undefined) return 0;
  const url = redirectTarget(redirect, route, { ...originOf(question, steps), path, query });
  if (url === undefined) {
    steps.push("the request is already where the redirect leads");
    if (route.service !== undefined || options?.split !== undefined) return 0;
    steps.push("the route has no service that would answer there: 404");
    return 404;
  }
  if (url === "") {
    steps.push("the redirect needs a host, and neither names one: 400");
    return 400;
  }
  steps.push(`the client is sent to ${url} with ${redirect.status}`);
  return redirect.status;
}

/** Scheme, host and port that were asked for, as the question says. */
function originOf(
  { host: authority, headers }: HttpQuestion,
  steps: string[],
): Pick<AskedUrl, "scheme" | "host" | "port"> {
  const proto = Object.entries(headers).find(
    ([name]) => name.toLowerCase() === "x-forwarded-proto",
  );
  const scheme = proto?.[1].trim().toLowerCase() === "https" ? "https" : "http";
  if (proto !== undefined) {
    steps.push(`the scheme is ${scheme}, if X-Forwarded-Proto comes from a proxy that is trusted`);
  }
  const parts = /^(.*?)(?::(\d*))?$/.exec(authority);
  const port = parts?.[2] ?? "";
  return { scheme, host: parts?.[1] ?? "", port: port === "" ? undefined : Number(port) };
}

/** Who answers: the route's service, or one share of its split. */
function explainService(
  { service, split }: CompiledRoute,
  steps: string[],
  random: () => number,
): ServiceState | undefined {
  if (split === undefined) return service;
  const chosen = split.pick(random);
  steps.push(`the requests are split: ${splitText(split)}`);
  steps.push(`service ${chosen.name} is drawn this time`);
  return chosen;
}

/** "web 90 of 100, canary 10 of 100 (none now: it has no backend)" */
function splitText({ shares }: Split): string {
  const total = shares.reduce((sum, { weight }) => sum + weight, 0);
  return shares
    .map((share) => {
      const isIdle = share.weight > 0 && liveWeightOf(share) === 0;
      const idle = isIdle ? " (none now: it has no backend)" : "";
      return `${share.service.name} ${share.weight} of ${total}${idle}`;
    })
    .join(", ");
}

/** What the backend gets instead, and who gets a copy. */
function explainChanges(route: CompiledRoute, path: string, steps: string[]): void {
  const { mirror } = route;
  const { rewrite, mirror: copies } = route.options ?? noOptions;
  if (rewrite?.pathPrefix !== undefined && route.port === undefined) {
    steps.push(`the backend is asked for ${replacedPrefix(rewrite.pathPrefix, route, path)}`);
  }
  if (rewrite?.host !== undefined) steps.push(`the backend is told Host ${rewrite.host}`);
  if (mirror === undefined || copies === undefined) return;
  const none = mirror.backends.length === 0 ? " (none now: it has no backend)" : "";
  steps.push(`${copies.percent} % of the requests are copied to service ${mirror.name}${none}`);
}
