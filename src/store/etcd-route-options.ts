// A route's options as proto3 JSON of crosspoint.v1: most are written as the model has them.

import { invalidField } from "../model/errors.ts";
import type { OptionsWish } from "../model/parse-options.ts";
import type {
  FixedAnswer,
  RateLimit,
  Retry,
  RetryOn,
  RouteOptions,
} from "../model/route-options.ts";
import type { JsonFields } from "./etcd-json.ts";
import {
  choiceOf,
  decodedChoice,
  decodedDuration,
  encodedDuration,
  inObject,
  whole,
} from "./etcd-words.ts";

export function encodedOptions(options: RouteOptions): object {
  const { answer, access, rateLimit, retry, timeoutMs, ...others } = options;
  return {
    ...others,
    ...(answer === undefined ? {} : { answer: encodedAnswer(answer) }),
    ...(access === undefined ? {} : { access: filled({ ...access }) }),
    ...(rateLimit === undefined ? {} : { rateLimit: encodedRate(rateLimit) }),
    ...(retry === undefined ? {} : { retry: encodedRetry(retry) }),
    ...encodedDuration("timeout", timeoutMs),
  };
}

function encodedRetry({ perTryMs, on, hedgeMs, ...others }: Retry): object {
  return {
    ...others,
    ...encodedDuration("perTryTimeout", perTryMs),
    ...(on === undefined ? {} : { on: on.map((failure) => retryOnNames[failure]) }),
    ...encodedDuration("hedgeAfter", hedgeMs),
  };
}

const retryOnNames: Readonly<Record<RetryOn, string>> = {
  connect: "ON_CONNECT",
  reset: "ON_RESET",
  timeout: "ON_TIMEOUT",
  status: "ON_STATUS",
};
/** By their numbers in crosspoint.v1.Retry.On. */
const retryOns: readonly (readonly [string, RetryOn | undefined])[] = [
  ["ON_UNSPECIFIED", undefined],
  [retryOnNames.connect, "connect"],
  [retryOnNames.reset, "reset"],
  [retryOnNames.timeout, "timeout"],
  [retryOnNames.status, "status"],
];

function encodedAnswer({ headers, ...others }: FixedAnswer): object {
  return { ...others, ...(Object.keys(headers).length === 0 ? {} : { headers }) };
}

/** Without empty lists. */
function filled(lists: Readonly<Record<string, readonly string[]>>): object {
  return Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0));
}

function encodedRate({ requests, perMs, burst, key }: RateLimit): object {
  const others = { requests, per: `${perMs / 1_000}s`, burst };
  return key === "route" ? others : { ...others, key: "KEY_CLIENT" };
}

/** By their numbers in crosspoint.v1.RateLimit.Key. */
const rateKeys: readonly (readonly [string, RateLimit["key"]])[] = [
  ["KEY_UNSPECIFIED", "route"],
  ["KEY_CLIENT", "client"],
];

/** What the fields ask for, unchecked but for their types. Throws "invalid-argument" naming the field. */
export function optionsWish(fields: JsonFields): OptionsWish {
  return {
    split: fields.objects("split").map((share) =>
      whole(share, {
        service: share.text("service") ?? "",
        weight: share.integer("weight") ?? 0,
      }),
    ),
    redirect: inObject(fields, "redirect", (redirect) => ({
      scheme: redirect.text("scheme") ?? "",
      host: redirect.text("host") ?? "",
      port: redirect.integer("port") ?? 0,
      path: redirect.text("path") ?? "",
      pathPrefix: redirect.text("pathPrefix") ?? "",
      status: redirect.integer("status") ?? 0,
    })),
    answer: inObject(fields, "answer", (answer) => ({
      ...pageWish(answer),
      headers: answer.texts("headers"),
    })),
    rewrite: inObject(fields, "rewrite", (rewrite) => ({
      pathPrefix: rewrite.text("pathPrefix") ?? "",
      host: rewrite.text("host") ?? "",
    })),
    mirror: inObject(fields, "mirror", (mirror) => ({
      service: mirror.text("service") ?? "",
      percent: mirror.integer("percent") ?? 0,
    })),
    access: inObject(fields, "access", (access) => ({
      allow: access.textList("allow"),
      deny: access.textList("deny"),
    })),
    rateLimit: inObject(fields, "rateLimit", rateWish),
    pages: fields.objects("pages").map((page) => whole(page, pageWish(page))),
    retry: inObject(fields, "retry", retryWish),
    timeoutMs: decodedDuration(fields, "timeout"),
  };
}

function retryWish(fields: JsonFields): OptionsWish["retry"] {
  const on = fields.choiceList("on").map((written, index) => {
    const path = fields.path(`on[${index}]`);
    const failure = choiceOf(written, retryOns, "failure", path);
    if (failure !== undefined) return failure;
    throw invalidField(path, "names no failure");
  });
  return {
    tries: fields.integer("tries") ?? 0,
    perTryMs: decodedDuration(fields, "perTryTimeout"),
    on,
    statuses: fields.integerList("statuses"),
    budgetPercent: fields.integer("budgetPercent") ?? 0,
    hedgeMs: decodedDuration(fields, "hedgeAfter"),
  };
}

function pageWish(fields: JsonFields): OptionsWish["pages"][number] {
  return {
    status: fields.integer("status") ?? 0,
    contentType: fields.text("contentType") ?? "",
    body: fields.text("body") ?? "",
  };
}

function rateWish(fields: JsonFields): NonNullable<OptionsWish["rateLimit"]> {
  return {
    requests: fields.integer("requests") ?? 0,
    perMs: decodedDuration(fields, "per") ?? 0,
    burst: fields.integer("burst") ?? 0,
    key: decodedChoice(fields, "key", "key", rateKeys) ?? "route",
  };
}
