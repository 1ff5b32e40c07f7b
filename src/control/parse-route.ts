// proto Route -> what a caller wants of it, every field checked and named by its proto path.
//
// Only takes the message apart; what may stand where is said in the model (names.ts, conditions.ts,
// parse-options.ts, route-target.ts), the same for a request and for what a store holds.

import * as proto from "../gen/crosspoint/v1/router.ts";
import type { Duration } from "../gen/google/protobuf/duration.ts";
import { type Conditions, parseConditions, type ValueCondition } from "../model/conditions.ts";
import { invalidField } from "../model/errors.ts";
import { Fields } from "../model/fields.ts";
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
import type { HttpMatch, RouteMatch } from "../model/route.ts";
import type { RateLimit, RetryOn } from "../model/route-options.ts";
import { checkTarget } from "../model/route-target.ts";
import type { ChangeDraft, RouteDraft } from "./change-plan.ts";
import { parseDurationMs } from "./duration.ts";

/** Throws "invalid-argument" naming every wrong field below `field`. */
export function parseRoute(
  message: proto.Route | undefined,
  mode: RouteDraft["mode"],
  field: string,
): ChangeDraft {
  if (message === undefined) throw invalidField(field, "is required");
  const fields = new Fields();
  const name = fields.read(() =>
    message.name === "" ? undefined : parseRouteName(message.name, `${field}.name`),
  );
  const match = fields.read(() => parseMatch(message, field));
  const service = fields.read(() =>
    message.service === "" ? undefined : parseServiceName(message.service, `${field}.service`),
  );
  const labels = fields.read(() => parseLabels(message.labels, `${field}.labels`));
  const rateLimit = fields.read(() => rateOf(message.rateLimit, `${field}.rate_limit`));
  const retry = fields.read(() => retryWish(message.retry, `${field}.retry`));
  const timeoutMs = fields.read(() => optionalMs(message.timeout, `${field}.timeout`));
  const options = fields.read(() =>
    parseOptions({ ...wishOf(message), rateLimit, retry, timeoutMs }, field),
  );
  const { sticky } = message;
  fields.read(() => checkShape(message, field));
  fields.throwIfWrong();
  return {
    kind: "put-route",
    route: {
      mode,
      field,
      name,
      match: match!,
      service,
      sticky,
      labels: labels!,
      ...(options === undefined ? {} : { options }),
    },
  };
}

/** Of what is there, right or wrong by itself: one answer names both. */
function checkShape(message: proto.Route, field: string): void {
  const { service, sticky, split, pages, redirect, answer, rewrite, mirror, retry } = message;
  if (message.match === undefined) return;
  checkTarget(
    {
      match: { kind: message.match.$case },
      service: service === "" ? undefined : service,
      sticky,
      options: {
        redirect,
        answer,
        rewrite,
        mirror,
        retry,
        timeoutMs: message.timeout,
        split: split.length === 0 ? undefined : split,
        pages: pages.length === 0 ? undefined : pages,
      },
    },
    field,
  );
}

/** A TCP port of 0 asks for one of the node's range. */
function parseMatch(message: proto.Route, field: string): RouteMatch {
  switch (message.match?.$case) {
    case "http":
      return parseHttpMatch(message.match.value, `${field}.http`);
    case "tcp": {
      const { port } = message.match.value;
      return { kind: "tcp", port: port === 0 ? 0 : parsePort(port, `${field}.tcp.port`) };
    }
    default:
      throw invalidField(`${field}.match`, "one of http and tcp is required");
  }
}

function parseHttpMatch(message: proto.HttpMatch, field: string): HttpMatch {
  const { path } = message;
  const fields = new Fields();
  const domain = fields.read(() => parseDomain(message.domain, `${field}.domain`));
  const pathPrefix = fields.read(() => {
    if (path !== "" && message.pathPrefix !== "") {
      throw invalidField(`${field}.path_prefix`, "and path exclude each other: name one of them");
    }
    return parsePathPrefix(message.pathPrefix, `${field}.path_prefix`);
  });
  const exactPath = fields.read(() =>
    path === "" ? undefined : parseExactPath(path, `${field}.path`),
  );
  const when = fields.read(() => parseWhen(message, field));
  fields.throwIfWrong();
  return {
    kind: "http",
    domain: domain!,
    pathPrefix: pathPrefix!,
    ...(exactPath === undefined ? {} : { exactPath }),
    ...(when === undefined ? {} : { when }),
  };
}

function parseWhen(message: proto.HttpMatch, field: string): Conditions | undefined {
  const { methods, headers, query } = message;
  const wish = { methods, headers: headers.map(conditionOf), query: query.map(conditionOf) };
  return parseConditions(wish, field);
}

function conditionOf({ name, value }: proto.ValueMatch): ValueCondition {
  switch (value?.$case) {
    case "exact":
    case "prefix":
      return { name, op: value.$case, value: value.value };
    default:
      return { name, op: value?.value === false ? "absent" : "present", value: "" };
  }
}

/** What is taken as it is. */
function wishOf(message: proto.Route): Omit<OptionsWish, "rateLimit" | "retry" | "timeoutMs"> {
  const { split, redirect, answer, rewrite, mirror, access, pages } = message;
  return { split, redirect, answer, rewrite, mirror, access, pages };
}

function optionalMs(duration: Duration | undefined, field: string): number | undefined {
  return duration === undefined ? undefined : parseDurationMs(duration, field);
}

function retryWish(message: proto.Retry | undefined, field: string): OptionsWish["retry"] {
  if (message === undefined) return undefined;
  const { tries, statuses, budgetPercent } = message;
  const fields = new Fields();
  const perTryMs = fields.read(() => optionalMs(message.perTryTimeout, `${field}.per_try_timeout`));
  const on = fields.readAll(message.on, (failure, index) =>
    parseRetryOn(failure, `${field}.on[${index}]`),
  );
  const hedgeMs = fields.read(() => optionalMs(message.hedgeAfter, `${field}.hedge_after`));
  fields.throwIfWrong();
  return { tries, perTryMs, on, statuses, budgetPercent, hedgeMs };
}

const retryOns: ReadonlyMap<number, RetryOn> = new Map([
  [proto.Retry_On.CONNECT, "connect"],
  [proto.Retry_On.RESET, "reset"],
  [proto.Retry_On.TIMEOUT, "timeout"],
  [proto.Retry_On.STATUS, "status"],
]);

function parseRetryOn(failure: number, field: string): RetryOn {
  const on = retryOns.get(failure);
  if (on !== undefined) return on;
  throw invalidField(field, `${failure} is none of ON_CONNECT, ON_RESET, ON_TIMEOUT, ON_STATUS`);
}

function rateOf(message: proto.RateLimit | undefined, field: string): OptionsWish["rateLimit"] {
  if (message === undefined) return undefined;
  const { requests, per, burst } = message;
  const fields = new Fields();
  const perMs = fields.read(() => {
    const ms = per === undefined ? 0 : parseDurationMs(per, `${field}.per`);
    if (per === undefined || ms > 0) return ms;
    throw invalidField(`${field}.per`, "is not within 1 s to 1 h");
  });
  const key = fields.read(() => parseRateKey(message.key, `${field}.key`));
  fields.throwIfWrong();
  return { requests, perMs: perMs!, burst, key: key! };
}

function parseRateKey(key: number, field: string): RateLimit["key"] {
  switch (key) {
    case proto.RateLimit_Key.UNSPECIFIED:
      return "route";
    case proto.RateLimit_Key.CLIENT:
      return "client";
    default:
      throw invalidField(field, `${key} is not one of KEY_UNSPECIFIED, KEY_CLIENT`);
  }
}
