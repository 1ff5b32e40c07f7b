// The words behind `crosspoint route add`, and the route that they ask for.
//
// Only the shape of each word is judged here, and that no flag stands where it could do nothing; names, ranges,
// statuses and what fits together are the node's to judge. Reads the files that --answer and --page name.

import { parseDuration } from "../config-values.ts";
import {
  type FixedAnswer,
  RateLimit_Key as Key,
  type Mirror,
  type Page,
  type RateLimit,
  type Redirect,
  type Rewrite,
  type Route,
  type Share,
} from "../gen/crosspoint/v1/router.ts";
import { type Flag, type Flags, grouped, isOn, textOf, textsOf } from "./command.ts";
import { conditionOfWord, fieldsOfWords } from "./condition-words.ts";
import { usageError } from "./failure.ts";
import { readPage } from "./page-words.ts";
import { durationOf, pairsOf, parseMatch, parseNumberWord } from "./parse-words.ts";
import { parseRedirectWord } from "./redirect-words.ts";
import { retryFlags, retryOfWords } from "./retry-words.ts";

const matching: readonly Flag[] = [
  { name: "exact", help: "this path alone, not what is below it" },
  {
    name: "method",
    value: "METHOD",
    help: "only requests with this method, such as GET; repeatable",
    repeatable: true,
  },
  {
    name: "header",
    value: "CONDITION",
    help: "only requests with this field: 'NAME=VALUE', 'NAME=BEGINNING*', 'NAME', or '!NAME' for those without it; repeatable",
    repeatable: true,
  },
  {
    name: "query",
    value: "CONDITION",
    help: "only requests with this query parameter, written as with --header; repeatable",
    repeatable: true,
  },
];

const answering: readonly Flag[] = [
  {
    name: "split",
    value: "SERVICE=WEIGHT",
    help: "instead of SERVICE: a share of the requests; repeatable",
    repeatable: true,
    complete: "service",
  },
  {
    name: "redirect",
    value: "TO",
    help: "send clients to https, https://HOST, https://HOST/PATH or /PATH; /PREFIX/* keeps what follows the route's own path. SERVICE answers who is there already",
  },
  {
    name: "redirect-status",
    value: "STATUS",
    help: "301, 302, 303, 307 or 308 (default: 307)",
  },
  {
    name: "answer",
    value: "STATUS[=FILE]",
    help: "the router answers by itself, with what is in the file",
  },
  { name: "answer-text", value: "TEXT", help: "what --answer says, instead of a file" },
  {
    name: "answer-header",
    value: "NAME:VALUE",
    help: "a field of --answer, such as 'Retry-After: 60'; repeatable",
    repeatable: true,
  },
];

const forwarding: readonly Flag[] = [
  {
    name: "rewrite",
    value: "/PREFIX",
    help: "what the backend gets in place of the route's own path; / takes it away",
  },
  { name: "rewrite-host", value: "HOST", help: "what the backend gets as Host" },
  {
    name: "mirror",
    value: "SERVICE[=PERCENT]",
    help: "copy requests to another service, whose answers are dropped",
    complete: "service",
  },
];

const admitting: readonly Flag[] = [
  {
    name: "allow",
    value: "CIDR",
    help: "only clients of this range or address; repeatable",
    repeatable: true,
  },
  {
    name: "deny",
    value: "CIDR",
    help: "no clients of this range or address; repeatable",
    repeatable: true,
  },
  { name: "rate", value: "N/TIME", help: "at most so many requests: 100/s, 1000/m, 50/10s" },
  {
    name: "rate-burst",
    value: "N",
    help: "so many at once when it was quiet before (default: as --rate)",
  },
  {
    name: "rate-by",
    value: "WHOM",
    help: "count all clients together, or each by itself (default: all)",
    choices: ["all", "client"],
  },
];

const others: readonly Flag[] = [
  {
    name: "page",
    value: "STATUS=FILE",
    help: "what clients get instead of the router's own words with this status; repeatable",
    repeatable: true,
  },
  { name: "sticky", help: "keep a client with its backend, by a cookie" },
  { name: "label", value: "KEY=VALUE", help: "a label; repeatable", repeatable: true },
];

/** Of `route add`, beside the name and the wait. */
export const routeFlags: readonly Flag[] = [
  ...grouped("Which requests", matching),
  ...grouped("Who answers", answering),
  ...grouped("What the backend gets", forwarding),
  ...grouped("Who may come, and how much", admitting),
  ...grouped("Tries and times", retryFlags),
  ...others,
];

type AskedRoute = Omit<Route, "name" | "revision" | "createTime" | "updateTime">;

/** What MATCH, SERVICE and the flags ask for. Throws "invalid-argument" naming the word that is wrong. */
export function routeOfWords(match: string, service: string | undefined, flags: Flags): AskedRoute {
  for (const [name, needed] of needs) {
    if (flags[name] !== undefined && flags[needed] === undefined) {
      throw usageError(`--${name}: goes with --${needed}, which is not there`);
    }
  }
  if (service === undefined && !targets.some((name) => flags[name] !== undefined)) {
    throw usageError("SERVICE: is missing; name it, or say --split, --redirect or --answer");
  }
  return {
    match: matchOf(match, flags),
    service: service ?? "",
    split: textsOf(flags, "split").map(parseShare),
    redirect: redirectOf(flags),
    answer: answerOf(flags),
    rewrite: rewriteOf(flags),
    mirror: mirrorOf(textOf(flags, "mirror")),
    access: accessOf(flags),
    rateLimit: rateOf(flags),
    pages: textsOf(flags, "page").map(parsePageWord),
    ...retryOfWords(flags),
    sticky: isOn(flags, "sticky"),
    labels: pairsOf(textsOf(flags, "label"), "--label"),
  };
}

/** Who answers, but for a service. */
const targets = ["split", "redirect", "answer"] as const;

/** Flags that mean something only beside another. */
const needs = [
  ["redirect-status", "redirect"],
  ["answer-text", "answer"],
  ["answer-header", "answer"],
  ["rate-burst", "rate"],
  ["rate-by", "rate"],
] as const;

function matchOf(text: string, flags: Flags): NonNullable<Route["match"]> {
  // As `route list` shows an exact path: "app.example.com=/api".
  const listed = text.includes("=/");
  const match = parseMatch(listed ? text.replace("=/", "/") : text);
  if (match.$case === "tcp") {
    for (const name of ["exact", "method", "header", "query"]) {
      if (flags[name] === undefined) continue;
      throw usageError(`--${name}: is for HTTP routes; ${text} has connections, not requests`);
    }
    return match;
  }
  const { domain, pathPrefix } = match.value;
  const isExact = listed || isOn(flags, "exact");
  const conditions = (name: string) =>
    textsOf(flags, name).map((word) => conditionOfWord(word, `--${name}`));
  return {
    $case: "http",
    value: {
      domain,
      pathPrefix: isExact ? "" : pathPrefix,
      path: isExact ? pathPrefix || "/" : "",
      methods: textsOf(flags, "method").flatMap((word) => word.split(",")),
      headers: conditions("header"),
      query: conditions("query"),
    },
  };
}

function parseShare(word: string): Share {
  const [, service = "", weight = ""] = /^([^=]+)=(\d{1,9})$/.exec(word) ?? [];
  if (service === "") {
    throw usageError(`--split: ${JSON.stringify(word)} is not SERVICE=WEIGHT, such as web=90`);
  }
  return { service, weight: Number(weight) };
}

function redirectOf(flags: Flags): Redirect | undefined {
  const to = textOf(flags, "redirect");
  if (to === undefined) return undefined;
  const status = textOf(flags, "redirect-status");
  return {
    ...parseRedirectWord(to),
    status: status === undefined ? 0 : parseStatus(status, "--redirect-status"),
  };
}

function answerOf(flags: Flags): FixedAnswer | undefined {
  const word = textOf(flags, "answer");
  if (word === undefined) return undefined;
  const { status, file } = parseStatusAndFile(word, "--answer", "503 or 503=sorry.html");
  const text = textOf(flags, "answer-text");
  if (text !== undefined && file !== undefined) {
    throw usageError(`--answer-text: ${JSON.stringify(file)} says already what is answered`);
  }
  const headers = fieldsOfWords(textsOf(flags, "answer-header"), "--answer-header");
  const said = { contentType: "", body: text ?? "" };
  return { status, ...(file === undefined ? said : readPage(file, "--answer")), headers };
}

function parsePageWord(word: string): Page {
  const example = "503=sorry.html";
  const { status, file } = parseStatusAndFile(word, "--page", example);
  if (file === undefined) {
    throw usageError(`--page: ${JSON.stringify(word)} names no file; write ${example}`);
  }
  return { status, ...readPage(file, "--page") };
}

function parseStatusAndFile(
  word: string,
  flag: string,
  example: string,
): { readonly status: number; readonly file: string | undefined } {
  const [, status, file] = /^(\d{3})(?:=(.+))?$/.exec(word) ?? [];
  if (status === undefined) {
    throw usageError(
      `${flag}: ${JSON.stringify(word)} does not begin with a status; write ${example}`,
    );
  }
  return { status: Number(status), file };
}

function parseStatus(word: string, flag: string): number {
  if (/^\d{3}$/.test(word)) return Number(word);
  throw usageError(`${flag}: ${JSON.stringify(word)} is not a status, such as 308`);
}

function rewriteOf(flags: Flags): Rewrite | undefined {
  const prefix = textOf(flags, "rewrite");
  const host = textOf(flags, "rewrite-host");
  if (prefix === undefined && host === undefined) return undefined;
  for (const [name, word] of Object.entries({ rewrite: prefix, "rewrite-host": host })) {
    if (word === "") throw usageError(`--${name}: is empty`);
  }
  return { pathPrefix: prefix ?? "", host: host ?? "" };
}

function mirrorOf(word: string | undefined): Mirror | undefined {
  if (word === undefined) return undefined;
  const [, service = "", percent = "100"] = /^([^=]+)(?:=(\d{1,3})%?)?$/.exec(word) ?? [];
  if (service === "" || Number(percent) < 1 || Number(percent) > 100) {
    throw usageError(
      `--mirror: ${JSON.stringify(word)} is not SERVICE or SERVICE=PERCENT, such as web-next=5`,
    );
  }
  return { service, percent: Number(percent) };
}

function accessOf(flags: Flags): Route["access"] {
  const allow = [...textsOf(flags, "allow")];
  const deny = [...textsOf(flags, "deny")];
  return allow.length + deny.length === 0 ? undefined : { allow, deny };
}

const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

function rateOf(flags: Flags): RateLimit | undefined {
  const word = textOf(flags, "rate");
  if (word === undefined) return undefined;
  const [, requests, per = ""] = /^(\d{1,9})\/(.+)$/.exec(word) ?? [];
  if (requests === undefined) {
    throw usageError(
      `--rate: ${JSON.stringify(word)} is not a number and a time, such as 100/s, 1000/m or 50/10s`,
    );
  }
  const ms = unitMs[per] ?? parseDuration(per, "--rate");
  // Left out it would be a second.
  if (ms === 0) throw usageError(`--rate: ${JSON.stringify(word)} has no time`);
  const burst = textOf(flags, "rate-burst");
  return {
    requests: Number(requests),
    per: durationOf(ms),
    burst: burst === undefined ? 0 : parseNumberWord(burst, "--rate-burst", 1),
    key: textOf(flags, "rate-by") === "client" ? Key.CLIENT : Key.UNSPECIFIED,
  };
}
