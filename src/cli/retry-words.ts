// The words of `crosspoint route add` that say how long a request may take and how often it is tried.

import { Retry_On as On, type Retry, type Route } from "../gen/crosspoint/v1/router.ts";
import { type Flag, type Flags, textsOf } from "./command.ts";
import { usageError } from "./failure.ts";
import { countOf, timeOf } from "./parse-words.ts";

const retrying: readonly Flag[] = [
  {
    name: "tries",
    value: "N",
    help: "how often a request is tried, the first try among them; 1: never again (default: 4 while nothing was sent)",
  },
  {
    name: "per-try-timeout",
    value: "DURATION",
    help: "until the head of the answer, for each try",
  },
  {
    name: "retry-on",
    value: "FAILURE",
    help: "try again after connect, reset, timeout, status (default: connect and reset, and what --per-try-timeout and --retry-status bring); repeatable",
    repeatable: true,
  },
  {
    name: "retry-status",
    value: "STATUS",
    help: "an answer that counts as a failure, such as 503; repeatable",
    repeatable: true,
  },
  {
    name: "retry-budget",
    value: "PERCENT",
    help: "retries among 100 requests of the service, at most (default: 20)",
  },
  {
    name: "hedge-after",
    value: "DURATION",
    help: "an idempotent request without an answer goes to a second backend as well (default: never)",
  },
];

/** --timeout is how long a command waits for its node. */
export const retryFlags: readonly Flag[] = [
  ...retrying,
  {
    name: "request-timeout",
    value: "DURATION",
    help: "for a whole request, over all tries (default: the node's --limit request-time)",
  },
];

/** The failures as they are written on the command line. */
const failures: Readonly<Record<string, On>> = {
  connect: On.CONNECT,
  reset: On.RESET,
  timeout: On.TIMEOUT,
  status: On.STATUS,
};

/** Throws "invalid-argument" naming the word that is wrong. */
export function retryOfWords(flags: Flags): Pick<Route, "retry" | "timeout"> {
  return { retry: retryOf(flags), timeout: timeOf(flags, "request-timeout") };
}

function retryOf(flags: Flags): Retry | undefined {
  if (retrying.every(({ name }) => flags[name] === undefined)) return undefined;
  return {
    tries: countOf(flags, "tries"),
    perTryTimeout: timeOf(flags, "per-try-timeout"),
    on: textsOf(flags, "retry-on").flatMap((word) => word.split(",").map(parseFailure)),
    statuses: textsOf(flags, "retry-status").flatMap((word) => word.split(",").map(parseStatus)),
    budgetPercent: countOf(flags, "retry-budget"),
    hedgeAfter: timeOf(flags, "hedge-after"),
  };
}

function parseFailure(word: string): On {
  const failure = Object.hasOwn(failures, word) ? failures[word] : undefined;
  if (failure !== undefined) return failure;
  throw usageError(
    `--retry-on: ${JSON.stringify(word)} is none of ${Object.keys(failures).join(", ")}`,
  );
}

function parseStatus(word: string): number {
  if (/^\d{3}$/.test(word)) return Number(word);
  throw usageError(`--retry-status: ${JSON.stringify(word)} is not a status, such as 503`);
}
