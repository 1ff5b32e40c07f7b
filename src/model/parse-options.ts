// A route's options as a caller asks for them, checked.
//
// What comes out is canonical, with every default filled in: two wishes for the same thing make the same
// object, and its JSON tells whether two routes differ.

import { CidrSet } from "./cidr.ts";
import { invalidField } from "./errors.ts";
import { Fields, inside } from "./fields.ts";
import {
  type Domain,
  parseDomain,
  parseExactPath,
  parsePathPrefix,
  parsePort,
  parseServiceName,
} from "./names.ts";
import { parseRetry, type RetryWish, requestMs } from "./parse-retry.ts";
import { askedCount, countWithin, msWithin, type Range } from "./ranges.ts";
import type {
  Access,
  FixedAnswer,
  Mirror,
  Page,
  RateLimit,
  Redirect,
  Rewrite,
  RouteOptions,
  Share,
} from "./route-options.ts";

/** As a caller asks for it: "" and 0 stand for what was left out. */
export interface OptionsWish {
  readonly split: readonly { readonly service: string; readonly weight: number }[];
  readonly redirect:
    | {
        readonly scheme: string;
        readonly host: string;
        readonly port: number;
        readonly path: string;
        readonly pathPrefix: string;
        readonly status: number;
      }
    | undefined;
  readonly answer: (PageWish & { readonly headers: Readonly<Record<string, string>> }) | undefined;
  readonly rewrite: { readonly pathPrefix: string; readonly host: string } | undefined;
  readonly mirror: { readonly service: string; readonly percent: number } | undefined;
  readonly access:
    | { readonly allow: readonly string[]; readonly deny: readonly string[] }
    | undefined;
  readonly rateLimit:
    | {
        readonly requests: number;
        readonly perMs: number;
        readonly burst: number;
        readonly key: RateLimit["key"];
      }
    | undefined;
  readonly pages: readonly PageWish[];
  readonly retry: RetryWish | undefined;
  readonly timeoutMs: number | undefined;
}

interface PageWish {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Nothing asked for. */
export const noWish: OptionsWish = {
  split: [],
  redirect: undefined,
  answer: undefined,
  rewrite: undefined,
  mirror: undefined,
  access: undefined,
  rateLimit: undefined,
  pages: [],
  retry: undefined,
  timeoutMs: undefined,
};

const sharesMax = 16;
const pagesMax = 16;
const headersMax = 16;
const rangesMax = 256;
const shareWeightMax = 1000;
const bodyBytesMax = 16 * 1024;
/** Of all bodies of one route: each worker holds them, and a store's value has its own bound. */
const bodiesBytesMax = 64 * 1024;
const rateRequests: Range = { min: 1, max: 1_000_000 };
const ratePerMs: Range = { min: 1_000, max: 3_600_000 };
/** RFC 9110 section 15.4: those that name another place and are followed. */
const redirectStatuses = new Set([301, 302, 303, 307, 308]);
/** Keeps the method and is not remembered (RFC 9110 section 15.4.8): a slip can be taken back. */
const redirectStatusDefault = 307;
const textType = "text/plain; charset=utf-8";
const pageType = "text/html; charset=utf-8";

/**
 * Checks and fills in; undefined when nothing is asked for. Throws "invalid-argument" naming every wrong field below
 * `field`. Whether the options fit each other and the match is asked in
 * route-target.ts.
 */
export function parseOptions(wish: OptionsWish, field: string): RouteOptions | undefined {
  const fields = new Fields();
  const read = <W, T>(
    asked: W | undefined,
    name: string,
    parse: (asked: W, field: string) => T,
  ): T | undefined =>
    asked === undefined ? undefined : fields.read(() => parse(asked, inside(field, name)));
  const split = read(someOf(wish.split), "split", parseSplit);
  const redirect = read(wish.redirect, "redirect", parseRedirect);
  const answer = read(wish.answer, "answer", parseAnswer);
  const rewrite = read(wish.rewrite, "rewrite", parseRewrite);
  const mirror = read(wish.mirror, "mirror", parseMirror);
  const access = read(wish.access, "access", parseAccess);
  const rateLimit = read(wish.rateLimit, "rate_limit", parseRate);
  const pages = read(someOf(wish.pages), "pages", parsePages);
  const retry = read(wish.retry, "retry", parseRetry);
  const timeoutMs = read(wish.timeoutMs, "timeout", (ms, at) => msWithin(ms, requestMs, at));
  fields.throwIfWrong();
  // What was not asked for has no key, so that the same options are the same text.
  const options: RouteOptions = {
    ...(split === undefined ? {} : { split }),
    ...(redirect === undefined ? {} : { redirect }),
    ...(answer === undefined ? {} : { answer }),
    ...(rewrite === undefined ? {} : { rewrite }),
    ...(mirror === undefined ? {} : { mirror }),
    ...(access === undefined ? {} : { access }),
    ...(rateLimit === undefined ? {} : { rateLimit }),
    ...(pages === undefined ? {} : { pages }),
    ...(retry === undefined ? {} : { retry }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
  if (Object.keys(options).length === 0) return undefined;
  checkBodies(options, inside(field, "pages"));
  return options;
}

function someOf<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}

function checkBodies({ pages = [], answer }: RouteOptions, field: string): void {
  const bytes = [...pages, ...(answer === undefined ? [] : [answer])].reduce(
    (sum, { body }) => sum + bytesOf(body),
    0,
  );
  if (bytes <= bodiesBytesMax) return;
  throw invalidField(
    field,
    `all bodies of a route together have ${bytes} bytes; at most ${bodiesBytesMax} are allowed`,
  );
}

function parseSplit(shares: OptionsWish["split"], field: string): readonly Share[] {
  checkCount(shares, sharesMax, field);
  const fields = new Fields();
  const parsed = fields.readAll(shares, (share, index) => parseShare(share, `${field}[${index}]`));
  fields.read(() => {
    const names = new Set(parsed.map(({ service }) => service));
    if (names.size < parsed.length) throw invalidField(field, "names a service twice");
    if (shares.every(({ weight }) => weight === 0)) {
      throw invalidField(field, "has weights of 0 only: nobody would answer");
    }
  });
  fields.throwIfWrong();
  return parsed.toSorted((a, b) => (a.service < b.service ? -1 : 1));
}

function parseShare({ service, weight }: OptionsWish["split"][number], field: string): Share {
  const fields = new Fields();
  const name = fields.read(() => parseServiceName(service, `${field}.service`));
  fields.read(() => {
    if (Number.isInteger(weight) && weight >= 0 && weight <= shareWeightMax) return;
    throw invalidField(`${field}.weight`, `${weight} is not a weight (0 to ${shareWeightMax})`);
  });
  fields.throwIfWrong();
  return { service: name!, weight };
}

function parseRedirect(wish: NonNullable<OptionsWish["redirect"]>, field: string): Redirect {
  const fields = new Fields();
  const read = <T>(name: keyof typeof wish, parse: (field: string) => T): T | undefined =>
    wish[name] === "" || wish[name] === 0
      ? undefined
      : fields.read(() => parse(`${field}.${protoNames[name] ?? name}`));
  const status =
    read("status", (at) => parseRedirectStatus(wish.status, at)) ?? redirectStatusDefault;
  const scheme = read("scheme", (at) => parseScheme(wish.scheme, at));
  const host = read("host", (at) => parseHost(wish.host, at));
  const port = read("port", (at) => parsePort(wish.port, at));
  const path = read("path", (at) => parseExactPath(wish.path, at));
  const pathPrefix = read("pathPrefix", (at) => {
    if (wish.path === "") return parsePathPrefix(wish.pathPrefix, at);
    throw invalidField(at, "and path exclude each other: name one of them");
  });
  fields.throwIfWrong();
  const redirect: Redirect = {
    ...(scheme === undefined ? {} : { scheme }),
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(path === undefined ? {} : { path }),
    ...(pathPrefix === undefined ? {} : { pathPrefix }),
    status,
  };
  if (Object.keys(redirect).length > 1) return redirect;
  throw invalidField(field, "changes nothing: name a scheme, a host, a port or a path");
}

const protoNames: { readonly [name: string]: string | undefined } = { pathPrefix: "path_prefix" };

function parseRedirectStatus(status: number, field: string): number {
  if (redirectStatuses.has(status)) return status;
  throw invalidField(field, `${status} is none of 301, 302, 303, 307, 308`);
}

function parseScheme(scheme: string, field: string): "http" | "https" {
  if (scheme === "http" || scheme === "https") return scheme;
  throw invalidField(field, `${shown(scheme)} is neither http nor https`);
}

/** One host, not a pattern. */
function parseHost(text: string, field: string): Domain {
  const host = parseDomain(text, field);
  if (!host.startsWith("*")) return host;
  throw invalidField(field, `${shown(text)} is a pattern: name one host`);
}

function parseAnswer(wish: NonNullable<OptionsWish["answer"]>, field: string): FixedAnswer {
  const status = wish.status === 0 ? 200 : wish.status;
  const headers = Object.entries(wish.headers);
  const fields = new Fields();
  fields.read(() => {
    if (Number.isInteger(status) && status >= 200 && status <= 599) return;
    throw invalidField(`${field}.status`, `${status} is not the status of an answer (200 to 599)`);
  });
  const contentType = fields.read(() =>
    parseContentType(wish.contentType, textType, `${field}.content_type`),
  );
  const body = fields.read(() => {
    if (wish.body === "" || !bodilessStatuses.has(status)) {
      return parseBody(wish.body, `${field}.body`);
    }
    throw invalidField(`${field}.body`, `an answer of ${status} has none`);
  });
  fields.read(() => checkFields(headers, `${field}.headers`));
  fields.throwIfWrong();
  return {
    status,
    contentType: contentType!,
    body: body!,
    headers: Object.fromEntries(headers.toSorted(([a], [b]) => (a < b ? -1 : 1))),
  };
}

/** RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5. */
const bodilessStatuses = new Set([204, 205, 304]);

function checkFields(headers: readonly (readonly [string, string])[], field: string): void {
  checkCount(headers, headersMax, field);
  const fields = new Fields();
  fields.readAll(headers, ([name, value]) => checkField(name, value, field));
  fields.throwIfWrong();
  const names = new Set(headers.map(([name]) => name.toLowerCase()));
  if (names.size < headers.length) throw invalidField(field, "names a field twice");
}

/** What frames the message, or is between two neighbours only (RFC 9110 section 7.6.1), is ours to say. */
const ownFields = new Set(
  `connection content-length content-type date keep-alive proxy-connection te trailer transfer-encoding upgrade x-crosspoint-reason`.split(
    " ",
  ),
);

function checkField(name: string, value: string, field: string): void {
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/.test(name)) {
    throw invalidField(field, `${shown(name)} is not the name of a field`);
  }
  if (ownFields.has(name.toLowerCase())) throw invalidField(field, `${name} is set by the router`);
  if (!/^(?:[!-~](?:[\t -~]*[!-~])?)?$/.test(value) || value.length > 1024) {
    throw invalidField(field, `the value of ${name} is not one: printable ASCII, at most 1024`);
  }
}

function parsePages(pages: OptionsWish["pages"], field: string): readonly Page[] {
  checkCount(pages, pagesMax, field);
  const fields = new Fields();
  const parsed = fields.readAll(pages, (page, index) => parsePage(page, `${field}[${index}]`));
  fields.read(() => {
    const statuses = new Set(parsed.map(({ status }) => status));
    if (statuses.size < parsed.length) throw invalidField(field, "names a status twice");
  });
  fields.throwIfWrong();
  return parsed.toSorted((a, b) => a.status - b.status);
}

/** One page; also of a node. */
export function parsePage({ status, contentType, body }: PageWish, field: string): Page {
  const fields = new Fields();
  fields.read(() => {
    if (Number.isInteger(status) && status >= 400 && status <= 599) return;
    throw invalidField(`${field}.status`, `${status} is not the status of an error (400 to 599)`);
  });
  const type = fields.read(() => parseContentType(contentType, pageType, `${field}.content_type`));
  const text = fields.read(() => parseBody(body, `${field}.body`));
  fields.throwIfWrong();
  return { status, contentType: type!, body: text! };
}

function parseContentType(text: string, usual: string, field: string): string {
  if (text === "") return usual;
  if (/^[!-~]+\/[!-~][ -~]*$/.test(text) && text.length <= 256) return text;
  throw invalidField(field, `${shown(text)} is not a media type, such as ${textType}`);
}

function parseBody(text: string, field: string): string {
  const bytes = bytesOf(text);
  if (bytes > bodyBytesMax) {
    throw invalidField(field, `has ${bytes} bytes; at most ${bodyBytesMax} are allowed`);
  }
  return text.toWellFormed();
}

function parseRewrite(wish: NonNullable<OptionsWish["rewrite"]>, field: string): Rewrite {
  if (wish.pathPrefix === "" && wish.host === "") {
    throw invalidField(field, "changes nothing: name a path_prefix or a host");
  }
  const fields = new Fields();
  const pathPrefix = fields.read(() =>
    wish.pathPrefix === "" ? undefined : parsePathPrefix(wish.pathPrefix, `${field}.path_prefix`),
  );
  const host = fields.read(() =>
    wish.host === "" ? undefined : parseHost(wish.host, `${field}.host`),
  );
  fields.throwIfWrong();
  return {
    ...(pathPrefix === undefined ? {} : { pathPrefix }),
    ...(host === undefined ? {} : { host }),
  };
}

function parseMirror(
  { service, percent }: NonNullable<OptionsWish["mirror"]>,
  field: string,
): Mirror {
  const fields = new Fields();
  const name = fields.read(() => parseServiceName(service, `${field}.service`));
  fields.read(() => {
    if (Number.isInteger(percent) && percent >= 0 && percent <= 100) return;
    throw invalidField(`${field}.percent`, `${percent} is not a percentage (1 to 100)`);
  });
  fields.throwIfWrong();
  return { service: name!, percent: percent === 0 ? 100 : percent };
}

function parseAccess({ allow, deny }: NonNullable<OptionsWish["access"]>, field: string): Access {
  if (allow.length + deny.length === 0) throw invalidField(field, "names nobody: name ranges");
  const fields = new Fields();
  for (const [name, ranges] of Object.entries({ allow, deny })) {
    fields.read(() => checkRanges(ranges, `${field}.${name}`));
  }
  fields.throwIfWrong();
  return { allow: [...new Set(allow)].toSorted(), deny: [...new Set(deny)].toSorted() };
}

function checkRanges(ranges: readonly string[], field: string): void {
  checkCount(ranges, rangesMax, field);
  const fields = new Fields();
  fields.readAll(ranges, (range, index) => CidrSet.parse([range], `${field}[${index}]`));
  fields.throwIfWrong();
}

function parseRate(wish: NonNullable<OptionsWish["rateLimit"]>, field: string): RateLimit {
  const { requests, key } = wish;
  const perMs = wish.perMs === 0 ? 1_000 : wish.perMs;
  const fields = new Fields();
  fields.read(() => countWithin(requests, rateRequests, `${field}.requests`));
  fields.read(() => msWithin(perMs, ratePerMs, `${field}.per`));
  fields.read(() => askedCount(wish.burst, rateRequests, `${field}.burst`));
  fields.throwIfWrong();
  const burst = wish.burst === 0 ? requests : wish.burst;
  return { requests, perMs, burst, key };
}

function checkCount(entries: readonly unknown[], max: number, field: string): void {
  if (entries.length <= max) return;
  throw invalidField(field, `has ${entries.length} entries; at most ${max} are allowed`);
}

/** Of its UTF-8. */
const bytesOf = (text: string): number => new TextEncoder().encode(text).length;

const shown = (text: string): string => JSON.stringify(text.slice(0, 80).toWellFormed());
