// A route as an object of JSON: the model's own shape, with every field checked as if a caller had asked for it.

import { type Conditions, parseConditions, type ValueCondition } from "../model/conditions.ts";
import { invalidField } from "../model/errors.ts";
import {
  parseDomain,
  parseExactPath,
  parseLabels,
  parsePathPrefix,
  parsePort,
  parseRouteName,
  parseServiceName,
} from "../model/names.ts";
import { type OptionsWish, parseOptions } from "../model/parse-options.ts";
import { parseRevision } from "../model/revision.ts";
import type { HttpMatch, Route, RouteMatch } from "../model/route.ts";
import type { RateLimit, RetryOn } from "../model/route-options.ts";
import { checkTarget } from "../model/route-target.ts";
import {
  fieldsListOf,
  fieldsOf,
  flagOf,
  numberListOf,
  numberOf,
  oneOf,
  optional,
  textListOf,
  textOf,
  textsOf,
  type ValueFields,
  wordListOf,
} from "./value-fields.ts";

/** Throws "invalid-argument" naming the field. */
export function routeOf(fields: ValueFields): Route {
  const service = optional(fields, "service", textOf);
  const options = optional(fields, "options", (within, name) => {
    const written = fieldsOf(within, name);
    return parseOptions(wishOf(written), `${within.path}${name}`);
  });
  const route: Route = {
    name: parseRouteName(textOf(fields, "name")),
    match: matchOf(fieldsOf(fields, "match")),
    service: service === undefined ? undefined : parseServiceName(service),
    sticky: flagOf(fields, "sticky"),
    labels: parseLabels(textsOf(fields, "labels")),
    ...(options === undefined ? {} : { options }),
    revision: parseRevision(numberOf(fields, "revision")),
    // Version 0.1 did not write it.
    matchRevision: parseRevision(
      optional(fields, "matchRevision", numberOf) ?? numberOf(fields, "revision"),
    ),
    createTimeMs: numberOf(fields, "createTimeMs"),
    updateTimeMs: numberOf(fields, "updateTimeMs"),
  };
  checkTarget(route, "");
  return route;
}

function matchOf(fields: ValueFields): RouteMatch {
  const kind = textOf(fields, "kind");
  if (kind === "tcp") return { kind, port: parsePort(numberOf(fields, "port")) };
  if (kind === "http") return httpMatchOf(fields);
  throw invalidField("match", `${JSON.stringify(kind)} is not http or tcp`);
}

function httpMatchOf(fields: ValueFields): HttpMatch {
  const exactPath = optional(fields, "exactPath", textOf);
  const when = optional(fields, "when", (within, name) => whenOf(fieldsOf(within, name)));
  return {
    kind: "http",
    domain: parseDomain(textOf(fields, "domain")),
    pathPrefix: parsePathPrefix(textOf(fields, "pathPrefix")),
    ...(exactPath === undefined ? {} : { exactPath: parseExactPath(exactPath, "exactPath") }),
    ...(when === undefined ? {} : { when }),
  };
}

function whenOf(fields: ValueFields): Conditions | undefined {
  return parseConditions(
    {
      methods: textListOf(fields, "methods"),
      headers: fieldsListOf(fields, "headers").map(conditionOf),
      query: fieldsListOf(fields, "query").map(conditionOf),
    },
    fields.path.slice(0, -1),
  );
}

const ops: readonly ValueCondition["op"][] = ["exact", "prefix", "present", "absent"];

function conditionOf(fields: ValueFields): ValueCondition {
  return {
    name: textOf(fields, "name"),
    op: oneOf(fields, "op", ops),
    value: textOf(fields, "value"),
  };
}

function wishOf(fields: ValueFields): OptionsWish {
  return {
    split: optional(fields, "split", sharesOf) ?? [],
    redirect: optional(fields, "redirect", redirectOf),
    answer: optional(fields, "answer", answerOf),
    rewrite: optional(fields, "rewrite", rewriteOf),
    mirror: optional(fields, "mirror", mirrorOf),
    access: optional(fields, "access", accessOf),
    rateLimit: optional(fields, "rateLimit", rateOf),
    pages: optional(fields, "pages", pagesOf) ?? [],
    retry: optional(fields, "retry", retryOf),
    timeoutMs: optional(fields, "timeoutMs", numberOf),
  };
}

function sharesOf(fields: ValueFields, name: string): OptionsWish["split"] {
  return fieldsListOf(fields, name).map((share) => ({
    service: textOf(share, "service"),
    weight: numberOf(share, "weight"),
  }));
}

function redirectOf(fields: ValueFields, name: string): OptionsWish["redirect"] {
  const redirect = fieldsOf(fields, name);
  return {
    scheme: optional(redirect, "scheme", textOf) ?? "",
    host: optional(redirect, "host", textOf) ?? "",
    port: optional(redirect, "port", numberOf) ?? 0,
    path: optional(redirect, "path", textOf) ?? "",
    pathPrefix: optional(redirect, "pathPrefix", textOf) ?? "",
    status: numberOf(redirect, "status"),
  };
}

function answerOf(fields: ValueFields, name: string): OptionsWish["answer"] {
  const answer = fieldsOf(fields, name);
  return { ...pageOf(answer), headers: textsOf(answer, "headers") };
}

function pagesOf(fields: ValueFields, name: string): OptionsWish["pages"] {
  return fieldsListOf(fields, name).map(pageOf);
}

function pageOf(fields: ValueFields): OptionsWish["pages"][number] {
  return {
    status: numberOf(fields, "status"),
    contentType: textOf(fields, "contentType"),
    body: textOf(fields, "body"),
  };
}

function rewriteOf(fields: ValueFields, name: string): OptionsWish["rewrite"] {
  const rewrite = fieldsOf(fields, name);
  return {
    pathPrefix: optional(rewrite, "pathPrefix", textOf) ?? "",
    host: optional(rewrite, "host", textOf) ?? "",
  };
}

function mirrorOf(fields: ValueFields, name: string): OptionsWish["mirror"] {
  const mirror = fieldsOf(fields, name);
  return { service: textOf(mirror, "service"), percent: numberOf(mirror, "percent") };
}

function accessOf(fields: ValueFields, name: string): OptionsWish["access"] {
  const access = fieldsOf(fields, name);
  return { allow: textListOf(access, "allow"), deny: textListOf(access, "deny") };
}

const rateKeys: readonly RateLimit["key"][] = ["route", "client"];

function rateOf(fields: ValueFields, name: string): OptionsWish["rateLimit"] {
  const rate = fieldsOf(fields, name);
  return {
    requests: numberOf(rate, "requests"),
    perMs: numberOf(rate, "perMs"),
    burst: numberOf(rate, "burst"),
    key: oneOf(rate, "key", rateKeys),
  };
}

const retryOns: readonly RetryOn[] = ["connect", "reset", "timeout", "status"];

function retryOf(fields: ValueFields, name: string): OptionsWish["retry"] {
  const retry = fieldsOf(fields, name);
  return {
    tries: optional(retry, "tries", numberOf) ?? 0,
    perTryMs: optional(retry, "perTryMs", numberOf),
    on: optional(retry, "on", (of, key) => wordListOf(of, key, retryOns)) ?? [],
    statuses: optional(retry, "statuses", numberListOf) ?? [],
    budgetPercent: optional(retry, "budgetPercent", numberOf) ?? 0,
    hedgeMs: optional(retry, "hedgeMs", numberOf),
  };
}
