// model Route -> proto, with every default that was filled in: what is answered says all that holds.
//
// What is answered can be sent again as it is, and means the same.

import * as proto from "../gen/crosspoint/v1/router.ts";
import type { ValueCondition } from "../model/conditions.ts";
import { unreachable } from "../model/errors.ts";
import type { HttpMatch, Route, RouteMatch } from "../model/route.ts";
import type { RateLimit, Redirect, Retry, RetryOn, RouteOptions } from "../model/route-options.ts";
import { renderDuration } from "./duration.ts";

export function renderRoute(route: Route): proto.Route {
  return {
    name: route.name,
    match: renderMatch(route.match),
    service: route.service ?? "",
    sticky: route.sticky,
    labels: { ...route.labels },
    revision: BigInt(route.revision),
    createTime: renderTime(route.createTimeMs),
    updateTime: renderTime(route.updateTimeMs),
    ...renderOptions(route.options ?? {}),
  };
}

/** 0: not known, as of what a hand wrote into the store. */
function renderTime(epochMs: number): Date | undefined {
  return epochMs === 0 ? undefined : new Date(epochMs);
}

function renderMatch(match: RouteMatch): proto.Route["match"] {
  return match.kind === "tcp"
    ? { $case: "tcp", value: { port: match.port } }
    : { $case: "http", value: renderHttpMatch(match) };
}

function renderHttpMatch({ domain, pathPrefix, exactPath, when }: HttpMatch): proto.HttpMatch {
  return {
    domain,
    // They exclude each other.
    pathPrefix: exactPath === undefined ? pathPrefix : "",
    path: exactPath ?? "",
    methods: [...(when?.methods ?? [])],
    headers: (when?.headers ?? []).map(renderCondition),
    query: (when?.query ?? []).map(renderCondition),
  };
}

function renderCondition({ name, op, value }: ValueCondition): proto.ValueMatch {
  switch (op) {
    case "exact":
      return { name, value: { $case: "exact", value } };
    case "prefix":
      return { name, value: { $case: "prefix", value } };
    case "present":
      return { name, value: { $case: "present", value: true } };
    case "absent":
      return { name, value: { $case: "present", value: false } };
    default:
      return unreachable(op);
  }
}

function renderOptions(
  options: RouteOptions,
): Pick<
  proto.Route,
  | "split"
  | "redirect"
  | "answer"
  | "rewrite"
  | "mirror"
  | "access"
  | "rateLimit"
  | "pages"
  | "retry"
  | "timeout"
> {
  const { split = [], redirect, answer, rewrite, mirror, access, rateLimit, pages = [] } = options;
  const { retry, timeoutMs } = options;
  return {
    split: split.map((share) => ({ ...share })),
    redirect: redirect === undefined ? undefined : renderRedirect(redirect),
    answer: answer === undefined ? undefined : { ...answer, headers: { ...answer.headers } },
    rewrite:
      rewrite === undefined
        ? undefined
        : { pathPrefix: rewrite.pathPrefix ?? "", host: rewrite.host ?? "" },
    mirror: mirror === undefined ? undefined : { ...mirror },
    access: access === undefined ? undefined : { allow: [...access.allow], deny: [...access.deny] },
    rateLimit: rateLimit === undefined ? undefined : renderRate(rateLimit),
    pages: pages.map((page) => ({ ...page })),
    retry: retry === undefined ? undefined : renderRetry(retry),
    timeout: timeoutMs === undefined ? undefined : renderDuration(timeoutMs),
  };
}

const retryOns: Readonly<Record<RetryOn, proto.Retry_On>> = {
  connect: proto.Retry_On.CONNECT,
  reset: proto.Retry_On.RESET,
  timeout: proto.Retry_On.TIMEOUT,
  status: proto.Retry_On.STATUS,
};

function renderRetry(retry: Retry): proto.Retry {
  const { tries = 0, perTryMs, on = [], statuses = [], budgetPercent = 0, hedgeMs } = retry;
  return {
    tries,
    perTryTimeout: perTryMs === undefined ? undefined : renderDuration(perTryMs),
    on: on.map((failure) => retryOns[failure]),
    statuses: [...statuses],
    budgetPercent,
    hedgeAfter: hedgeMs === undefined ? undefined : renderDuration(hedgeMs),
  };
}

function renderRedirect(redirect: Redirect): proto.Redirect {
  const { scheme = "", host = "", port = 0, path = "", pathPrefix = "", status } = redirect;
  return { scheme, host, port, path, pathPrefix, status };
}

function renderRate({ requests, perMs, burst, key }: RateLimit): proto.RateLimit {
  return {
    requests,
    per: renderDuration(perMs),
    burst,
    key: key === "client" ? proto.RateLimit_Key.CLIENT : proto.RateLimit_Key.UNSPECIFIED,
  };
}
