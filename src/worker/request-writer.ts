// The head that a backend gets: the client's fields without what is hop-by-hop, our forwarding
// fields, and framing of our own.
//
// Hot path: runs of fields that stay are copied as they came, in one range each.

import type { ConnectionEnds } from "../io/stream.ts";
import type { Rewrite } from "../model/route-options.ts";
import { Field } from "../protocol/field.ts";
import { Framing } from "../protocol/framing.ts";
import type { HeadFields } from "../protocol/head-fields.ts";
import type { RequestHead } from "../protocol/request-head.ts";
import type { CompiledRoute } from "../routing/compiled-route.ts";
import { ascii, type ByteWriter } from "./byte-writer.ts";
import type { ClientIp } from "./client-ip.ts";
import type { PrefacedClient } from "./client-prefaces.ts";
import type { WorkerContext } from "./context.ts";
import { forwardedStart, writeForwarded } from "./forwarded.ts";
import type { HeadTemplate } from "./head-template.ts";
import { isRequestId } from "./request-ids.ts";
import { writeRewrittenTarget } from "./request-target.ts";

const versionLine = ascii(" HTTP/1.1\r\n");
const hostName = ascii("Host: ");
const contentLength = ascii("Content-Length: ");
const chunked = ascii("Transfer-Encoding: chunked\r\n");
const upgradeFields = ascii("Connection: upgrade\r\nUpgrade: ");
const forwardedFor = ascii("X-Forwarded-For: ");
const forwardedProto = ascii("X-Forwarded-Proto: http\r\n");
const forwardedHost = ascii("X-Forwarded-Host: ");
const forwardedPort = ascii("X-Forwarded-Port: ");
const maxForwards = ascii("Max-Forwards: ");
const requestStart = ascii("X-Request-Start: ");
const requestId = ascii("X-Request-Id: ");

/** What a connection's requests have in common. */
export interface Downstream extends PrefacedClient {
  readonly address: string;
  /** The peer is in `--trust-forwarded`: what it says in forwarding fields is kept. */
  readonly trusted: boolean;
  /** "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 8080\r\n" */
  readonly forwarded: Uint8Array;
  /** How each request's Forwarded begins; empty: it gets none. */
  readonly forwardedStart: Uint8Array;
  /** `address`, read for the first route that asks for it. */
  ip: ClientIp | undefined;
}

const noBytes = ascii("");

/** @param forwarded Forwarded is written too (`--forwarded`). */
export function describeDownstream(
  ends: ConnectionEnds,
  trusted: boolean,
  forwarded = false,
): Downstream {
  const { remoteAddress: address, localPort } = ends;
  return {
    address,
    ends,
    prefaces: undefined,
    ip: undefined,
    trusted,
    forwarded: forwardedLines(address, localPort),
    forwardedStart: forwarded ? forwardedStart(address) : noBytes,
  };
}

/** The lines of the connection that was described last: the next one is often from the same address. */
const lastLines = { text: "", bytes: noBytes };

function forwardedLines(address: string, port: number): Uint8Array {
  const text = `X-Forwarded-For: ${address}\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: ${port}\r\n`;
  if (text !== lastLines.text) {
    lastLines.text = text;
    lastLines.bytes = ascii(text);
  }
  return lastLines.bytes;
}

/** What the fields of this request said about forwarding; indexes into the fields, -1 for absent. */
const seen = { for: -1, proto: -1, host: -1, port: -1, start: -1, id: -1, hostField: -1 };

/** Where in the writer the parts are that no two requests share: time and id. */
const written = { timeAt: -1, idAt: -1 };

/** Where the id that the backend got stands: in the request (`start >= 0`) or in `RequestIds.last`. */
export const sentRequestId = { start: -1, end: -1 };

/** Appends the whole head. Positional parameters: an options object per request would be garbage. */
export function writeRequestHead(
  context: Pick<WorkerContext, "writer" | "requestIds" | "wallMs" | "via">,
  bytes: Uint8Array,
  head: RequestHead,
  downstream: Downstream,
  backendAddress: string,
  route?: CompiledRoute,
  template?: HeadTemplate,
): void {
  const { writer, via } = context;
  const { trusted } = downstream;
  const isPlain = route?.options?.rewrite === undefined;
  if (template !== undefined && template.key === downstream.forwarded && isPlain) {
    if (writeAgain(context, template)) return;
  }
  const start = writer.length;
  if (route?.options?.rewrite !== undefined) {
    writeRewritten(writer, bytes, head, route, route.options.rewrite, trusted);
  } else if (isLineKept(head)) copyFields(writer, bytes, head.fields, head.methodStart, trusted);
  else {
    writer.range(bytes, head.methodStart, head.methodEnd);
    writer.byte(32);
    writer.range(bytes, head.targetStart, head.targetEnd);
    writer.all(versionLine);
    if (head.hostFieldReplaced)
      field(writer, hostName, bytes, head.authorityStart, head.authorityEnd);
    copyFields(writer, bytes, head.fields, -1, trusted);
  }
  if (seen.hostField < 0 && !head.hostFieldReplaced && route?.options?.rewrite?.host === undefined)
    textField(writer, hostName, backendAddress);
  writeForwarding(context, bytes, head, downstream);
  if (via !== undefined) writer.all(via.line(head.minor));
  if (head.maxForwards > 0) {
    writer.all(maxForwards);
    writer.number(head.maxForwards - 1);
    endLine(writer);
  }
  if (head.framing === Framing.Length) {
    writer.all(contentLength);
    writer.number(head.contentLength);
    endLine(writer);
  } else if (head.framing === Framing.Chunked) writer.all(chunked);
  if (head.upgrade) field(writer, upgradeFields, bytes, head.upgradeStart, head.upgradeEnd);
  endLine(writer);
  if (template === undefined || !isPlain || trusted || seen.hostField < 0) return;
  if (downstream.forwardedStart.length > 0 || startLine.bytes.length !== startLineLength) return;
  // Clients at different addresses may send the same octets in turn: then it would be kept in vain.
  if (template.candidate !== downstream.forwarded) {
    template.candidate = downstream.forwarded;
    return;
  }
  template.keep(downstream.forwarded, writer, start);
  template.timeAt = written.timeAt - start;
  template.idAt = written.idAt - start;
  template.idStart = sentRequestId.start;
  template.idEnd = sentRequestId.end;
}

/** What was written for the same octets of a client at the same address, but for the time and the id. */
function writeAgain(
  { writer, requestIds, wallMs }: Pick<WorkerContext, "writer" | "requestIds" | "wallMs">,
  template: HeadTemplate,
): boolean {
  const timeLine = startLineAt(wallMs());
  if (timeLine.length !== startLineLength) return false;
  const start = writer.length;
  template.writeTo(writer);
  const end = writer.length;
  writer.length = start + template.timeAt;
  writer.range(timeLine, timeStart, timeEnd);
  sentRequestId.start = template.idStart;
  sentRequestId.end = template.idEnd;
  if (template.idStart < 0) {
    writer.length = start + template.idAt;
    requestIds.write(writer);
  }
  writer.length = end;
  return true;
}

/** The request line and the fields that stay, with the path or the host that the route says instead. */
function writeRewritten(
  writer: ByteWriter,
  bytes: Uint8Array,
  head: RequestHead,
  route: CompiledRoute,
  { pathPrefix, host }: Rewrite,
  trusted: boolean,
): void {
  writer.range(bytes, head.methodStart, head.methodEnd);
  writer.byte(32);
  if (pathPrefix === undefined || route.port !== undefined) {
    writer.range(bytes, head.targetStart, head.targetEnd);
  } else writeRewrittenTarget(writer, bytes, head, pathPrefix, route);
  writer.all(versionLine);
  if (host !== undefined) textField(writer, hostName, host);
  else if (head.hostFieldReplaced) {
    field(writer, hostName, bytes, head.authorityStart, head.authorityEnd);
  }
  copyFields(writer, bytes, head.fields, -1, trusted, host !== undefined);
}

/** Whether the request line goes on as it came: then it is copied in one run with the first fields. */
function isLineKept(head: RequestHead): boolean {
  return (
    head.minor === 1 &&
    !head.hostFieldReplaced &&
    head.fields.count > 0 &&
    head.targetStart === head.methodEnd + 1 &&
    head.fields.nameStart[0] === head.targetEnd + versionLine.length
  );
}

/**
 * Copies the fields that stay; notes where the forwarding fields are and leaves those out.
 * @param lineStart Where the request line begins that goes before them; -1: it is written already.
 */
function copyFields(
  writer: ByteWriter,
  bytes: Uint8Array,
  fields: HeadFields,
  lineStart: number,
  trusted: boolean,
  dropsHost = false,
): void {
  seen.for = seen.proto = seen.host = seen.port = seen.start = seen.id = seen.hostField = -1;
  let runStart = lineStart;
  let runEnd = lineStart < 0 ? -1 : fields.nameStart[0]!;
  for (let i = 0; i < fields.count; i++) {
    if (fields.dropped[i] === 1 || isForwarding(fields.kind[i]!, i, trusted)) continue;
    if (dropsHost && fields.kind[i] === Field.Host) continue;
    const start = fields.nameStart[i]!;
    if (start !== runEnd) {
      if (runStart >= 0) writer.range(bytes, runStart, runEnd);
      runStart = start;
    }
    runEnd = fields.lineEnd[i]!;
  }
  if (runStart >= 0) writer.range(bytes, runStart, runEnd);
}

function isForwarding(kind: number, index: number, trusted: boolean): boolean {
  switch (kind) {
    case Field.XForwardedFor:
      // A second X-Forwarded-For line continues the first; see writeForwarding.
      if (seen.for < 0) seen.for = index;
      return true;
    case Field.XForwardedProto:
      seen.proto = index;
      return true;
    case Field.XForwardedHost:
      seen.host = index;
      return true;
    case Field.XForwardedPort:
      seen.port = index;
      return true;
    case Field.XRequestStart:
      seen.start = index;
      return true;
    case Field.XRequestId:
      seen.id = index;
      return true;
    case Field.Forwarded:
      // A stranger's is dropped whether we write one or not: a backend that believes it is fooled.
      return !trusted;
    case Field.Host:
      seen.hostField = index;
      return false;
    default:
      return false;
  }
}

function writeForwarding(
  { writer, requestIds, wallMs }: Pick<WorkerContext, "writer" | "requestIds" | "wallMs">,
  bytes: Uint8Array,
  head: RequestHead,
  downstream: Downstream,
): void {
  const { fields } = head;
  if (downstream.trusted) writeTrusted(writer, bytes, fields, downstream);
  else writer.all(downstream.forwarded);
  if (downstream.trusted && seen.host >= 0)
    copyValue(writer, forwardedHost, bytes, fields, seen.host);
  else if (head.authorityEnd > head.authorityStart) {
    field(writer, forwardedHost, bytes, head.authorityStart, head.authorityEnd);
  }
  if (downstream.forwardedStart.length > 0) {
    const { authorityStart, authorityEnd } = head;
    writeForwarded(writer, downstream.forwardedStart, bytes, authorityStart, authorityEnd);
  }
  if (downstream.trusted && seen.start >= 0) {
    copyValue(writer, requestStart, bytes, fields, seen.start);
    writer.all(requestId);
  } else {
    written.timeAt = writer.length + timeStart;
    writer.all(startLineAt(wallMs()));
  }
  const id = seen.id;
  if (id >= 0 && isRequestId(bytes, fields.valueStart[id]!, fields.valueEnd[id]!)) {
    sentRequestId.start = fields.valueStart[id]!;
    sentRequestId.end = fields.valueEnd[id]!;
    writer.range(bytes, sentRequestId.start, sentRequestId.end);
  } else {
    sentRequestId.start = -1;
    written.idAt = writer.length;
    requestIds.write(writer);
  }
  endLine(writer);
}

/** "X-Request-Start: 1790000000000\r\nX-Request-Id: " of the last millisecond that was asked for: some hundred requests share it. */
const startLine = { wallMs: -1, bytes: ascii("") };

function startLineAt(wallMs: number): Uint8Array {
  if (wallMs !== startLine.wallMs) {
    startLine.wallMs = wallMs;
    startLine.bytes = ascii(`X-Request-Start: ${wallMs}\r\nX-Request-Id: `);
  }
  return startLine.bytes;
}

/** Where the time stands in that line, and how long it is, from 2001 to 2286. */
const timeStart = requestStart.length;
const timeEnd = timeStart + 13;
const startLineLength = timeEnd + 2 + requestId.length;

/** The peer is a proxy we trust: its list is continued, its scheme and port are kept. */
function writeTrusted(
  writer: ByteWriter,
  bytes: Uint8Array,
  fields: HeadFields,
  downstream: Downstream,
): void {
  if (seen.for < 0 && seen.proto < 0 && seen.port < 0) {
    writer.all(downstream.forwarded);
    return;
  }
  writer.all(forwardedFor);
  for (let i = Math.max(seen.for, 0); seen.for >= 0 && i < fields.count; i++) {
    if (fields.kind[i] !== Field.XForwardedFor || fields.dropped[i] === 1) continue;
    if (fields.valueEnd[i] === fields.valueStart[i]) continue;
    writer.range(bytes, fields.valueStart[i]!, fields.valueEnd[i]!);
    writer.byte(44);
    writer.byte(32);
  }
  writer.text(downstream.address);
  endLine(writer);
  if (seen.proto >= 0) copyValue(writer, forwardedProtoName, bytes, fields, seen.proto);
  else writer.all(forwardedProto);
  if (seen.port >= 0) copyValue(writer, forwardedPort, bytes, fields, seen.port);
  else writer.range(downstream.forwarded, portLineAt(downstream), downstream.forwarded.length);
}

const forwardedProtoName = forwardedProto.subarray(0, "X-Forwarded-Proto: ".length);

/** Where the X-Forwarded-Port line begins in the prepared block. */
function portLineAt(downstream: Downstream): number {
  return forwardedFor.length + downstream.address.length + 2 + forwardedProto.length;
}

function copyValue(
  writer: ByteWriter,
  name: Uint8Array,
  bytes: Uint8Array,
  fields: HeadFields,
  index: number,
): void {
  field(writer, name, bytes, fields.valueStart[index]!, fields.valueEnd[index]!);
}

function field(
  writer: ByteWriter,
  name: Uint8Array,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  writer.all(name);
  writer.range(bytes, start, end);
  endLine(writer);
}

function textField(writer: ByteWriter, name: Uint8Array, value: string): void {
  writer.all(name);
  writer.text(value);
  endLine(writer);
}

function endLine(writer: ByteWriter): void {
  writer.byte(13);
  writer.byte(10);
}
