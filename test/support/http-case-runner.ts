// Replays the HTTP/1 cases through real sockets against a running node, and says how it did.
//
// The node must have these routes, all to one backend at 127.0.0.1:`backend.port`:
//   a.test      (path "/")
//   b.test      (path "/")
//   *           (path "/"; for requests without Host)
// and must trust no forwarding fields (the default). Balancing, stickiness and checks do not matter.
//
//   const backend = await CaseBackend.start();
//   … add the routes, with a backend at 127.0.0.1:${backend.port} …
//   const results = await runHttpCases({ proxyPort, backend, only: "control" });
//   await backend.close();
//
// The cases run one after the other: the backend tells them apart by time. All 405 take about a
// minute, since in some of them nothing may happen for 1.6 s.

import {
  type FieldView,
  type HttpCase,
  httpCases,
  type UpstreamView,
} from "../transcripts/http-cases.ts";
import { type CaseBackend, type Recorded, sentinelBody } from "./case-backend.ts";
import { exchange, type Observed } from "./case-client.ts";
import { type StrictMessage, statusOf, valuesOf } from "./strict-http.ts";

export { CaseBackend } from "./case-backend.ts";

export interface HttpCaseResult {
  readonly id: string;
  readonly group: string;
  /** As expected; as a careful router may do it too; or neither. */
  readonly verdict: "strict" | "acceptable" | "missed";
  readonly expect: string;
  /** What was seen, in one line, for a message. */
  readonly seen: string;
}

/** Runs the cases, or those of the group `only`, or those that `only` picks. */
export async function runHttpCases(options: {
  readonly proxyPort: number;
  readonly backend: CaseBackend;
  readonly only?: string | ((httpCase: HttpCase) => boolean);
}): Promise<HttpCaseResult[]> {
  const { only } = options;
  const chosen = httpCases.filter((httpCase) => {
    if (only === undefined) return true;
    return typeof only === "string" ? httpCase.group === only : only(httpCase);
  });
  const results: HttpCaseResult[] = [];
  for (const httpCase of chosen) {
    results.push(await runCase(httpCase, options.proxyPort, options.backend));
  }
  return results;
}

/** Everything that one case showed. */
interface Evidence {
  readonly httpCase: HttpCase;
  readonly observed: Observed;
  readonly recorded: readonly Recorded[];
  /** Only for answers of a backend (`u2p`). */
  readonly sentinel?: Observed;
  /** The sentinel came over the connection that had brought the bad answer. */
  readonly reused: boolean;
}

async function runCase(
  httpCase: HttpCase,
  port: number,
  backend: CaseBackend,
): Promise<HttpCaseResult> {
  const evidence =
    httpCase.dir === "c2p"
      ? await runRequest(httpCase, port, backend)
      : await runAnswer(httpCase, port, backend);
  const wrong = wrongUpstream(evidence) || wrongForClient(evidence);
  const met = (word: string): boolean => wrong === "" && holds(word, evidence);
  let verdict: HttpCaseResult["verdict"] = "missed";
  if (met(httpCase.expect)) verdict = "strict";
  else if ((httpCase.alsoOk ?? []).some(met)) verdict = "acceptable";
  const { id, group, expect } = httpCase;
  return { id, group, expect, verdict, seen: describeEvidence(evidence, wrong) };
}

async function runRequest(
  httpCase: HttpCase,
  port: number,
  backend: CaseBackend,
): Promise<Evidence> {
  backend.begin(httpCase);
  const observed = await exchange({
    port,
    bytes: httpCase.bytes,
    answers: httpCase.responses ?? 1,
    awaitClose: httpCase.expect === "forward-then-close",
  });
  // What the router cut short may reach the backend behind the client's answer: without this it would
  // be taken for the next case's. A request that goes there and back has everything before it.
  await askSentinel(port);
  return { httpCase, observed, recorded: backend.recorded, reused: false };
}

function askSentinel(port: number): Promise<Observed> {
  return exchange({ port, bytes: "GET /sentinel HTTP/1.1\r\nHost: a.test\r\n\r\n", answers: 1 });
}

async function runAnswer(
  httpCase: HttpCase,
  port: number,
  backend: CaseBackend,
): Promise<Evidence> {
  backend.begin(httpCase);
  const observed = await exchange({
    port,
    bytes: httpCase.request ?? "",
    answers: 1,
    awaitClose: httpCase.expect === "truncate",
  });
  // `late` octets must have reached the router before the next client asks.
  if (httpCase.late !== undefined) await new Promise((passed) => setTimeout(passed, 120));
  const sentinel = await askSentinel(port);
  const reused = backend.recorded.some(
    ({ connection }) => connection === backend.sentinelConnection,
  );
  return { httpCase, observed, recorded: backend.recorded, sentinel, reused };
}

/** Whether one of the words of `expect` describes what happened. */
function holds(word: string, evidence: Evidence): boolean {
  if (word.startsWith("reject-")) return rejected(Number(word.slice(7)), evidence);
  if (evidence.httpCase.dir === "u2p") return holdsForAnswer(word, evidence);
  const { observed, recorded } = evidence;
  const [first] = observed.finals;
  const completed = recorded.filter(({ complete }) => complete).length;
  switch (word) {
    case "forward-normalised":
      return forwarded(evidence);
    case "forward-then-close":
      return forwarded(evidence) && observed.closed;
    case "forward-upgrade":
      return (
        completed > 0 && recorded[0] !== undefined && valuesOf(recorded[0], "upgrade").length === 1
      );
    case "hold-then-decide":
      return completed > 0 && first !== undefined && statusOf(first) === 200;
    case "abort-body":
      if (completed > 0) return false;
      return first === undefined
        ? observed.closed
        : statusOf(first) !== 200 && (statusOf(first) === 400 || observed.closed);
    case "local-200":
    case "local-204":
      return (
        recorded.length === 0 && first !== undefined && statusOf(first) === Number(word.slice(6))
      );
    case "close":
      return observed.closed && first === undefined;
    case "wait-body":
      return !observed.closed && first === undefined && completed === 0;
    case "interim-100-or-wait":
      return first === undefined && observed.interims <= 1;
    default:
      return false;
  }
}

function forwarded({ httpCase, observed, recorded }: Evidence): boolean {
  const [first] = observed.finals;
  if (first === undefined || !first.complete || statusOf(first) !== 200) return false;
  if (recorded[0]?.complete !== true) return false;
  return httpCase.responses === undefined || observed.finals.length === httpCase.responses;
}

function rejected(status: number, { httpCase, observed, recorded, sentinel }: Evidence): boolean {
  const [first] = observed.finals;
  if (first === undefined || !first.complete || statusOf(first) !== status) return false;
  if (httpCase.dir === "u2p") return !poisoned(observed, sentinel) && sentinelArrived(sentinel);
  // In a pipeline the good messages before the bad one were forwarded.
  if (httpCase.group === "pipeline") return recorded.every(({ complete }) => complete);
  return recorded.length === 0;
}

function holdsForAnswer(word: string, evidence: Evidence): boolean {
  const { observed, sentinel, reused } = evidence;
  if (poisoned(observed, sentinel)) return false;
  switch (word) {
    case "relay":
      return relayed(evidence) && sentinelArrived(sentinel);
    case "relay-drop-upstream":
      return relayed(evidence) && sentinelArrived(sentinel) && !reused;
    case "truncate":
      return observed.closed && observed.finals[0]?.complete === false;
    default:
      return false;
  }
}

/** The client got the backend's final answer: its status, its body, its cookies. */
function relayed({ httpCase, observed }: Evidence): boolean {
  const [first] = observed.finals;
  if (first === undefined || !first.complete || observed.finals.length > 1) return false;
  const statuses = [...httpCase.bytes.matchAll(/HTTP\/1\.[01] (\d{3})/g)].map((match) =>
    Number(match[1]),
  );
  const status = statuses.find((candidate) => candidate >= 200);
  const body = httpCase.bytes.includes("hello") ? "hello" : "";
  const cookies = [...httpCase.bytes.matchAll(/Set-Cookie: (a|b)=/g)].length;
  return (
    statusOf(first) === status &&
    first.body === body &&
    valuesOf(first, "set-cookie").length === cookies &&
    first.violations.length === 0
  );
}

function poisoned(observed: Observed, sentinel: Observed | undefined): boolean {
  return observed.text.includes("POISON") || (sentinel?.text.includes("POISON") ?? false);
}

function sentinelArrived(sentinel: Observed | undefined): boolean {
  if (sentinel?.finals.length !== 1) return false;
  const [answer] = sentinel.finals;
  return (
    answer !== undefined &&
    answer.complete &&
    statusOf(answer) === 200 &&
    answer.body === sentinelBody
  );
}

/** What is wrong with the messages that reached the backend; "" when nothing is. */
function wrongUpstream({ httpCase, recorded }: Evidence): string {
  const violation = recorded.flatMap(({ violations }) => violations)[0];
  if (violation !== undefined) return violation;
  const [first] = recorded;
  return first === undefined || httpCase.upstream === undefined
    ? ""
    : differsFromView(httpCase.upstream, first, recorded);
}

function differsFromView(
  view: UpstreamView,
  first: Recorded,
  recorded: readonly Recorded[],
): string {
  if (view.line !== undefined && first.startLine !== view.line) return `line ${first.startLine}`;
  const differs = differsInFields(view, first);
  if (differs !== "") return differs;
  for (const [name, word] of Object.entries(view.lacks ?? {})) {
    if (valuesOf(first, name).some((value) => value.includes(word))) return `${name} has ${word}`;
  }
  if (view.body !== undefined && first.body !== view.body) return `body ${first.body}`;
  if (view.bodyLength !== undefined && first.body.length !== view.bodyLength) {
    return `${first.body.length} octets of body`;
  }
  if (view.trailers !== undefined && first.trailers !== view.trailers)
    return `${first.trailers} trailers`;
  if (view.requests !== undefined && recorded.length !== view.requests)
    return `${recorded.length} requests`;
  return "";
}

function differsInFields(view: FieldView, message: StrictMessage): string {
  for (const [name, wanted] of Object.entries(view.fields ?? {})) {
    const values = valuesOf(message, name);
    if (!values.some((value) => matches(wanted, value))) return `${name} is ${values.join(" | ")}`;
  }
  const present = (view.absent ?? []).find((name) => valuesOf(message, name).length > 0);
  return present === undefined ? "" : `${present} is there`;
}

/** What is wrong with what the client got; "" when nothing is. */
function wrongForClient({ httpCase: { client }, observed }: Evidence): string {
  const [first] = observed.finals;
  if (client === undefined || first === undefined) return "";
  if (client.interims !== undefined && observed.interims !== client.interims) {
    return `${observed.interims} interim answers`;
  }
  return differsInFields(client, first);
}

function matches(wanted: string, value: string): boolean {
  const pattern = /^\/(.*)\/([a-z]*)$/.exec(wanted);
  return pattern === null ? value === wanted : new RegExp(pattern[1] ?? "", pattern[2]).test(value);
}

function describeEvidence(
  { observed, recorded, sentinel, reused }: Evidence,
  wrong: string,
): string {
  const answers = observed.finals.map(
    (answer) => `${statusOf(answer)}${answer.complete ? "" : " (cut)"}`,
  );
  const requests = recorded.map(
    ({ startLine, complete }) => `${startLine}${complete ? "" : " (cut)"}`,
  );
  return [
    `answers [${answers.join(", ")}]${observed.closed ? " closed" : ""}`,
    `backend got [${requests.join(", ").slice(0, 120)}]`,
    ...(sentinel === undefined
      ? []
      : [
          `sentinel ${sentinelArrived(sentinel) ? "arrived" : "missing"}${reused ? " on the same connection" : ""}`,
        ]),
    ...(wrong === "" ? [] : [`wrong: ${wrong}`]),
  ].join("; ");
}
