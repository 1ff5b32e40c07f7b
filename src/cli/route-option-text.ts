// A route's options in words.

import {
  RateLimit_Key as Key,
  Retry_On as On,
  Route,
  retry_OnToJSON,
} from "../gen/crosspoint/v1/router.ts";
import { messageToShortJson } from "./proto-json.ts";
import { redirectText } from "./redirect-words.ts";
import { durationText } from "./show.ts";

export interface OptionText {
  /** As in an `apply` file. */
  readonly name: string;
  readonly words: string;
  /** All of it, as JSON: the same for the same. */
  readonly exact: string;
}

type Said<Name extends keyof Route> = NonNullable<Route[Name]>;

/** "web 90, web-next 10". */
export function splitText(split: Said<"split">): string {
  return split.map(({ service, weight }) => `${service} ${weight}`).join(", ");
}

/** "308 to https". */
export function redirectWords(redirect: Said<"redirect">): string {
  return `${redirect.status} to ${redirectText(redirect)}`;
}

const wordsOf = {
  split: ({ split }: Route) => splitText(split),
  redirect: ({ redirect }: Route) => (redirect === undefined ? "" : redirectWords(redirect)),
  answer: ({ answer }: Route) => (answer === undefined ? "" : answerText(answer)),
  rewrite: ({ rewrite }: Route) => (rewrite === undefined ? "" : rewriteText(rewrite)),
  mirror: ({ mirror }: Route) =>
    mirror === undefined ? "" : `${mirror.percent} % of the requests to ${mirror.service}`,
  access: ({ access }: Route) => (access === undefined ? "" : accessText(access)),
  rateLimit: ({ rateLimit }: Route) => (rateLimit === undefined ? "" : rateText(rateLimit)),
  pages: ({ pages }: Route) => pages.map(pageText).join(", "),
  retry: ({ retry }: Route) => (retry === undefined ? "" : retryText(retry)),
  timeout: ({ timeout }: Route) => durationText(timeout),
} as const satisfies Partial<Record<keyof Route, (route: Route) => string>>;

/** The options that are set. */
export function optionTexts(route: Route): readonly OptionText[] {
  const json = messageToShortJson("Route", Route, route);
  if (typeof json !== "object" || json === null || Array.isArray(json)) return [];
  return Object.entries(wordsOf).flatMap(([name, words]) => {
    const value = json[name];
    return value === undefined ? [] : [{ name, words: words(route), exact: JSON.stringify(value) }];
  });
}

/** "503 (text/html, 30 characters), Retry-After: 60". */
function answerText(answer: Said<"answer">): string {
  const fields = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}`);
  return [pageText(answer), ...fields].join(", ");
}

function pageText({ status, contentType, body }: Said<"pages">[number]): string {
  if (body === "") return String(status);
  const type = contentType.replace(/;.*/, "");
  return `${status} (${[type, `${body.length} characters`].filter(Boolean).join(", ")})`;
}

function rewriteText({ pathPrefix, host }: Said<"rewrite">): string {
  return [pathPrefix === "" ? "" : `path ${pathPrefix}`, host === "" ? "" : `host ${host}`]
    .filter(Boolean)
    .join(", ");
}

function accessText({ allow, deny }: Said<"access">): string {
  return [
    ...(deny.length === 0 ? [] : [`not ${deny.join(", ")}`]),
    ...(allow.length === 0 ? [] : [`only ${allow.join(", ")}`]),
  ].join("; ");
}

/** "20 in 1s, 40 at once, each client by itself". */
function rateText({ requests, per, burst, key }: Said<"rateLimit">): string {
  const time = per === undefined ? "1s" : durationText(per);
  const whose = key === Key.CLIENT ? "each client by itself" : "all clients together";
  return `${requests} in ${time}, ${burst === 0 ? requests : burst} at once, ${whose}`;
}

/** "5 tries, each 500ms, on connect status 503, budget 10 %, hedged after 0.1s". */
function retryText(retry: Said<"retry">): string {
  const { tries, perTryTimeout, on, statuses, budgetPercent, hedgeAfter } = retry;
  const failures = [...on.map(failureText), ...statuses];
  return [
    tries === 0 ? "" : `${tries} ${tries === 1 ? "try" : "tries"}`,
    perTryTimeout === undefined ? "" : `each ${durationText(perTryTimeout)}`,
    failures.length === 0 ? "" : `on ${failures.join(" ")}`,
    budgetPercent === 0 ? "" : `budget ${budgetPercent} %`,
    hedgeAfter === undefined ? "" : `hedged after ${durationText(hedgeAfter)}`,
  ]
    .filter(Boolean)
    .join(", ");
}

function failureText(on: On): string {
  return retry_OnToJSON(on).replace("ON_", "").toLowerCase();
}
