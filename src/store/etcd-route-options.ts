// A route's options as proto3 JSON of crosspoint.v1: most are written as the model has them.

import type { OptionsWish } from "../model/parse-options.ts";
import type { FixedAnswer, RateLimit, RouteOptions } from "../model/route-options.ts";
import type { JsonFields } from "./etcd-json.ts";
import { decodedChoice, decodedDuration } from "./etcd-words.ts";

export function encodedOptions(options: RouteOptions): object {
  const { answer, access, rateLimit, ...others } = options;
  return {
    ...others,
    ...(answer === undefined ? {} : { answer: encodedAnswer(answer) }),
    ...(access === undefined ? {} : { access: filled({ ...access }) }),
    ...(rateLimit === undefined ? {} : { rateLimit: encodedRate(rateLimit) }),
  };
}

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

/** What an object says; undefined without it. */
function inObject<T>(
  fields: JsonFields,
  name: string,
  read: (inner: JsonFields) => T,
): T | undefined {
  const inner = fields.object(name);
  return inner === undefined ? undefined : whole(inner, read(inner));
}

/** Once everything was read, nothing may be left. */
function whole<T>(fields: JsonFields, value: T): T {
  fields.refuseOthers();
  return value;
}
