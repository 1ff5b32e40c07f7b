// Routes with anything in them that may be in a route, for property tests: made of wishes that the parsers take.

import * as fc from "fast-check";
import { type ConditionsWish, parseConditions } from "../../src/model/conditions.ts";
import {
  parseDomain,
  parseExactPath,
  parsePathPrefix,
  parseServiceName,
} from "../../src/model/names.ts";
import { noWish, type OptionsWish, parseOptions } from "../../src/model/parse-options.ts";
import type { Route, RouteMatch } from "../../src/model/route.ts";

const service = fc.constantFrom("web", "web-next", "mail", "A.b_c-1");
const host = fc.constantFrom("example.com", "a.example.com", "x-y.test", "localhost");
const domain = fc.oneof(host, fc.constantFrom("*", "*.example.com"));
const path = fc.stringMatching(/^(?:\/[A-Za-z0-9._~!$&'()*+,;=:@%[\]|-]{1,6}){1,3}\/?$/);
const maybe = <T>(arbitrary: fc.Arbitrary<T>, absent: T): fc.Arbitrary<T> =>
  fc.oneof(fc.constant(absent), arbitrary);

/** A value of a field or a parameter that may stand there. */
const fieldText = fc.stringMatching(/^[!-~]([ -~]{0,9}[!-~])?$/);
const queryText = fc.stringMatching(/^[!$%'-;=?-Z[\]_a-z|~]{1,9}$/);

function conditions(name: fc.Arbitrary<string>, text: fc.Arbitrary<string>) {
  const one = fc.oneof(
    fc.record({ name, op: fc.constant("exact" as const), value: maybe(text, "") }),
    fc.record({ name, op: fc.constant("prefix" as const), value: text }),
    fc.record({ name, op: fc.constantFrom("present", "absent"), value: fc.constant("") }),
  );
  const selector = (condition: { readonly name: string }) => condition.name.toLowerCase();
  return fc.uniqueArray(one, { maxLength: 4, selector });
}

export const anyConditionsWish: fc.Arbitrary<ConditionsWish> = fc.record({
  methods: fc.subarray(["GET", "HEAD", "POST", "PURGE", "x|y"]),
  headers: conditions(
    fc.stringMatching(/^[A-Za-z!*_.~-]{1,8}$/).filter((name) => name.toLowerCase() !== "host"),
    fieldText,
  ),
  query: conditions(fc.stringMatching(/^[!$'-9?-Z[\]_a-z|~%]{1,8}$/), queryText),
});

const httpMatch = fc
  .record({ domain, path, shape: fc.constantFrom("/", "prefix", "exact"), wish: anyConditionsWish })
  .map(({ shape, wish, ...parts }): RouteMatch => {
    const when = parseConditions(wish, "http");
    return {
      kind: "http",
      domain: parseDomain(parts.domain),
      pathPrefix: parsePathPrefix(shape === "prefix" ? parts.path : "/"),
      ...(shape === "exact" ? { exactPath: parseExactPath(parts.path) } : {}),
      ...(when === undefined ? {} : { when }),
    };
  });

const tcpMatch = fc
  .integer({ min: 1, max: 65_535 })
  .map((port): RouteMatch => ({ kind: "tcp", port }));

export const anyMatch: fc.Arbitrary<RouteMatch> = fc.oneof(
  { weight: 4, arbitrary: httpMatch },
  { weight: 1, arbitrary: tcpMatch },
);

const page = {
  contentType: fc.constantFrom("", "text/html", "application/json; charset=utf-8"),
  body: fc.string({ unit: "grapheme", maxLength: 12 }),
};

const requestMs = fc.integer({ min: 1, max: 3_600_000 });

/** Every option that there is, each in a form of its own. */
const wishes = {
  split: fc
    .uniqueArray(fc.record({ service, weight: fc.nat(1000) }), {
      minLength: 1,
      selector: (share) => share.service,
    })
    .filter((shares) => shares.some(({ weight }) => weight > 0)),
  redirect: fc
    .record({
      scheme: fc.constantFrom("", "http", "https"),
      host: maybe(host, ""),
      port: maybe(fc.integer({ min: 1, max: 65_535 }), 0),
      target: fc.tuple(fc.constantFrom("none", "path", "pathPrefix"), path),
      status: fc.constantFrom(0, 301, 302, 303, 307, 308),
    })
    .map(({ target: [kind, to], ...others }) => ({
      ...others,
      path: kind === "path" ? to : "",
      pathPrefix: kind === "pathPrefix" ? to : "",
    }))
    .filter(({ scheme, host: name, port, path: to, pathPrefix }) =>
      [scheme, name, to, pathPrefix, port === 0 ? "" : "port"].some((text) => text !== ""),
    ),
  answer: fc.record({
    ...page,
    status: fc.constantFrom(0, 200, 404, 503, 599),
    headers: fc
      .uniqueArray(
        fc.tuple(fc.stringMatching(/^X-[A-Za-z0-9!*_.~-]{1,8}$/), maybe(fieldText, "")),
        {
          maxLength: 4,
          selector: ([name]) => name.toLowerCase(),
        },
      )
      .map((fields) => Object.fromEntries(fields)),
  }),
  rewrite: fc
    .record({ pathPrefix: maybe(path, ""), host: maybe(host, "") })
    .filter((rewrite) => rewrite.pathPrefix !== "" || rewrite.host !== ""),
  mirror: fc.record({ service, percent: fc.integer({ min: 0, max: 100 }) }),
  access: fc
    .record({
      allow: fc.subarray(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:10.0.0.0/104"]),
      deny: fc.subarray(["10.9.0.0/16", "::1", "0.0.0.0/0"]),
    })
    .filter(({ allow, deny }) => allow.length + deny.length > 0),
  rateLimit: fc.record({
    requests: fc.integer({ min: 1, max: 1_000_000 }),
    perMs: maybe(fc.integer({ min: 1_000, max: 3_600_000 }), 0),
    burst: maybe(fc.integer({ min: 1, max: 1_000_000 }), 0),
    key: fc.constantFrom("route", "client"),
  }),
  pages: fc.uniqueArray(fc.record({ ...page, status: fc.integer({ min: 400, max: 599 }) }), {
    minLength: 1,
    maxLength: 4,
    selector: ({ status }) => status,
  }),
  retry: fc
    .record({
      tries: fc.integer({ min: 0, max: 10 }),
      perTryMs: fc.option(requestMs, { nil: undefined }),
      on: fc.subarray(["connect", "reset", "timeout", "status"] as const),
      statuses: fc.uniqueArray(fc.oneof(fc.constant(429), fc.integer({ min: 500, max: 599 })), {
        maxLength: 16,
      }),
      budgetPercent: fc.integer({ min: 0, max: 100 }),
      hedgeMs: fc.option(requestMs, { nil: undefined }),
    })
    .map(({ on, statuses, perTryMs, ...others }) => {
      const possible = on.filter(
        (failure) =>
          (failure !== "timeout" || perTryMs !== undefined) &&
          (failure !== "status" || statuses.length > 0),
      );
      const counts = possible.length === 0 || possible.includes("status");
      return { ...others, perTryMs, on: possible, statuses: counts ? statuses : [] };
    }),
  timeoutMs: requestMs,
} as const;

/** Any of the options, whether they fit together or not. */
export const anyOptionsWish: fc.Arbitrary<OptionsWish> = fc
  .record(wishes, { requiredKeys: [] })
  .map((some) => ({ ...noWish, ...some }));

const answerers = ["service", "split", "answer", "redirect", "redirect, else service"] as const;

/** What may be in a route beside its name, labels and times; it fits together. */
export const anyTarget: fc.Arbitrary<Pick<Route, "match" | "service" | "sticky" | "options">> = fc
  .record({
    match: anyMatch,
    service,
    sticky: fc.boolean(),
    by: fc.constantFrom(...answerers),
    all: fc.record(wishes),
    asked: fc.subarray([
      "rewrite",
      "mirror",
      "access",
      "rateLimit",
      "pages",
      "retry",
      "timeoutMs",
    ] as const),
  })
  .map(({ match, by, all, asked, ...parts }) => {
    const isTcp = match.kind === "tcp";
    const answerer = isTcp && by !== "split" ? "service" : by;
    const forwards = answerer !== "answer" && answerer !== "redirect";
    const fits = (option: (typeof asked)[number]): boolean =>
      option === "access" || option === "rateLimit" || (!isTcp && (forwards || option === "pages"));
    const wanted: readonly string[] = [
      ...asked.filter(fits),
      ...(answerer === "redirect, else service" ? ["redirect"] : [answerer]),
    ];
    const wish = Object.fromEntries(Object.entries(all).filter(([name]) => wanted.includes(name)));
    const options = parseOptions({ ...noWish, ...wish }, "");
    const hasService = answerer === "service" || answerer === "redirect, else service";
    return {
      match,
      service: hasService ? parseServiceName(parts.service) : undefined,
      sticky: parts.sticky && !isTcp && forwards,
      ...(options === undefined ? {} : { options }),
    };
  });
