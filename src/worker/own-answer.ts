// What a route makes the router answer by itself: a refusal of who may not come, a redirect, a fixed answer; and the
// pages that stand in for the router's own words.
//
// Knows: what the options of a route mean for one request, and how the router's answer is sent. Does not know how its
// words are put (local-answer) or a service is reached. Few requests come here, so that text is cheap enough.

import type { Stream } from "../io/stream.ts";
import type { Page } from "../model/route-options.ts";
import { Field } from "../protocol/field.ts";
import type { RequestHead } from "../protocol/request-head.ts";
import type { CompiledRoute } from "../routing/compiled-route.ts";
import { type AskedUrl, redirectTarget } from "../routing/redirect-target.ts";
import { isGuarded, type Refused, refusedAt } from "./admission.ts";
import { flush } from "./body-relay.ts";
import { clientIpOf } from "./client-ip.ts";
import type { WorkerContext } from "./context.ts";
import { dateLineAt } from "./date-line.ts";
import { type Reason, writeLocalAnswer } from "./local-answer.ts";
import type { Downstream } from "./request-writer.ts";

/** An answer that no backend is asked for. */
export interface OwnAnswer {
  readonly status: number;
  readonly reason: Reason;
  /** What to say; undefined: the page for the status, or the router's own words. */
  readonly page: Page | undefined;
  /** Fields of this answer, each "Name: value". */
  readonly lines: readonly string[];
}

/** undefined: a service answers. */
export function ownAnswerOf(
  context: WorkerContext,
  downstream: Downstream,
  bytes: Uint8Array,
  route: CompiledRoute,
): OwnAnswer | undefined {
  const refused = isGuarded(route)
    ? refusedAt(context, route, clientIpOf(context, downstream, bytes))
    : undefined;
  if (refused !== undefined) return refusal(refused);
  return routeAnswer(context.requestHead, downstream.trusted, bytes, route);
}

function refusal({ status, reason, waitMs }: Refused): OwnAnswer {
  // RFC 6585 section 4, in whole seconds (RFC 9110 section 10.2.3): one too early would be refused again.
  const lines = waitMs === 0 ? [] : [`Retry-After: ${Math.ceil(waitMs / 1_000)}`];
  return { status, reason, page: undefined, lines };
}

function routeAnswer(
  head: RequestHead,
  trusted: boolean,
  bytes: Uint8Array,
  route: CompiledRoute,
): OwnAnswer | undefined {
  const { redirect, answer } = route.options ?? {};
  if (answer !== undefined) {
    const lines = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}`);
    return { status: answer.status, reason: "fixed-answer", page: answer, lines };
  }
  if (redirect === undefined || route.port !== undefined) return undefined;
  const target = redirectTarget(redirect, route, askedUrlOf(bytes, head, trusted));
  if (target === undefined) return undefined;
  if (target === "") return { status: 400, reason: "no-host", page: undefined, lines: [] };
  const lines = [`Location: ${target}`];
  return { status: redirect.status, reason: "redirect", page: undefined, lines };
}

/** What an exchange says by itself, and how its client is to hear it. */
export interface SaidAnswer {
  readonly status: number;
  readonly reason: Reason;
  readonly detail: string;
  readonly close: boolean;
  readonly route: CompiledRoute | undefined;
  readonly headOnly: boolean;
  /** Of HTTP/1. */
  readonly minor: number;
  readonly json: boolean;
  readonly own: OwnAnswer | undefined;
}

/** Writes it in one piece; answers its bytes. */
export function sendOwnAnswer(context: WorkerContext, stream: Stream, said: SaidAnswer): number {
  const { writer, pages } = context;
  const { status, reason, detail, close, route, headOnly, minor, json, own } = said;
  writer.length = 0;
  writeLocalAnswer(writer, {
    status,
    reason,
    detail,
    close,
    headOnly,
    json,
    sayKeepAlive: minor === 0,
    page: own?.page ?? pageFor(status, route?.options?.pages, pages),
    lines: own?.lines,
    dateLine: dateLineAt(context.wallMs()),
  });
  const bytes = writer.length;
  flush(writer, stream);
  return bytes;
}

/** The page for a status: of the route, else of the node; undefined: there is none. */
export function pageFor(
  status: number,
  ofRoute: readonly Page[] | undefined,
  ofNode: readonly Page[],
): Page | undefined {
  return (
    ofRoute?.find((page) => page.status === status) ?? ofNode.find((page) => page.status === status)
  );
}

/** The URL as the client knows it: behind a trusted proxy, by the scheme that it was asked with. */
function askedUrlOf(bytes: Uint8Array, head: RequestHead, trusted: boolean): AskedUrl {
  const port = /:(\d+)$/.exec(text(bytes, head.hostEnd, head.authorityEnd))?.[1];
  return {
    scheme: trusted && isHttps(bytes, head) ? "https" : "http",
    host: text(bytes, head.hostStart, head.hostEnd),
    port: port === undefined ? undefined : Number(port),
    path: text(bytes, head.targetStart, head.pathEnd),
    query: text(bytes, head.pathEnd, head.targetEnd),
  };
}

/** The first X-Forwarded-Proto says what the client spoke: each proxy after it appends, or leaves it alone. */
function isHttps(bytes: Uint8Array, { fields }: RequestHead): boolean {
  for (let i = 0; i < fields.count; i++) {
    if (fields.kind[i] !== Field.XForwardedProto || fields.dropped[i] === 1) continue;
    const value = text(bytes, fields.valueStart[i]!, fields.valueEnd[i]!);
    return value.split(",", 1)[0]?.trim().toLowerCase() === "https";
  }
  return false;
}

/** bytes[start..end) as Latin-1 text. */
function text(bytes: Uint8Array, start: number, end: number): string {
  let made = "";
  for (let i = start; i < end; i++) made += String.fromCharCode(bytes[i]!);
  return made;
}
