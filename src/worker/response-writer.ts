// The head that a client gets: the backend's fields without what is hop-by-hop, framing of our own,
// and the sticky cookie when it changes.

import { Framing } from "../protocol/framing.ts";
import type { ResponseHead } from "../protocol/response-head.ts";
import { ascii, type ByteWriter } from "./byte-writer.ts";
import type { HeadTemplate } from "./head-template.ts";

const version = ascii("HTTP/1.1 ");
const contentLength = ascii("Content-Length: ");
const chunked = ascii("Transfer-Encoding: chunked\r\n");
const close = ascii("Connection: close\r\n");
const keepAlive = ascii("Connection: keep-alive\r\n");
const closeAndUpgrade = ascii("Connection: close, upgrade\r\n");
const upgrade = ascii("Connection: upgrade\r\n");
const keepAliveAndUpgrade = ascii("Connection: keep-alive, upgrade\r\n");
const upgradeFields = ascii("Connection: upgrade\r\nUpgrade: ");
const crlf = ascii("\r\n");
/** "HTTP/1.1 200 " */
const statusBytes = 13;

/** One per connection, reused for all its answers. */
export interface ResponseHeadOptions {
  /** Of the body we send. */
  framing: number;
  /** The connection ends after this answer. */
  close: boolean;
  /** The client spoke HTTP/1.0 and asked to keep the connection. */
  sayKeepAlive: boolean;
  /** The whole Set-Cookie line, or undefined. */
  stickyCookie: string | undefined;
  /** The line for an answer that came without Date, or undefined. */
  dateLine: Uint8Array | undefined;
  /** The line that says where the answer came by, or undefined. */
  viaLine: Uint8Array | undefined;
}

/** Appends the head of a final answer. */
export function writeResponseHead(
  writer: ByteWriter,
  bytes: Uint8Array,
  head: ResponseHead,
  options: ResponseHeadOptions,
  template?: HeadTemplate,
): void {
  const isPlain = template !== undefined && isAsUsual(options);
  if (isPlain && template.key === usual) return template.writeTo(writer);
  const start = writer.length;
  writeStatusAndFields(writer, bytes, head);
  if (options.dateLine !== undefined) writer.all(options.dateLine);
  if (options.viaLine !== undefined) writer.all(options.viaLine);
  // A length without a body is what HEAD and 304 say (RFC 9110 section 8.6): passed on as it came.
  if (
    head.framing === Framing.None ? head.contentLength >= 0 : options.framing === Framing.Length
  ) {
    writer.all(contentLength);
    writer.number(head.contentLength);
    writer.all(crlf);
  } else if (options.framing === Framing.Chunked) writer.all(chunked);
  writeConnection(writer, head.requiresUpgrade, options);
  if (options.stickyCookie !== undefined) {
    writer.text(options.stickyCookie);
  }
  writer.all(crlf);
  if (isPlain) template.keep(usual, writer, start);
}

/** What a template was written for. */
const usual = {};

/** All that is written depends on what was received: nothing of ours differs from one answer to the next. */
function isAsUsual(options: ResponseHeadOptions): boolean {
  const { sayKeepAlive, stickyCookie, dateLine } = options;
  return !options.close && !sayKeepAlive && stickyCookie === undefined && dateLine === undefined;
}

/** Whoever sends Upgrade names it in Connection, too (RFC 9110 section 7.8). */
function writeConnection(
  writer: ByteWriter,
  requiresUpgrade: boolean,
  options: ResponseHeadOptions,
): void {
  if (options.close) writer.all(requiresUpgrade ? closeAndUpgrade : close);
  else if (options.sayKeepAlive) writer.all(requiresUpgrade ? keepAliveAndUpgrade : keepAlive);
  else if (requiresUpgrade) writer.all(upgrade);
}

/**
 * Appends the head of a 1xx answer, of which what is hop-by-hop was dropped like a final one's; for 101
 * with what it upgrades to.
 */
export function writeInterimHead(
  writer: ByteWriter,
  bytes: Uint8Array,
  head: ResponseHead,
  stickyCookie?: string,
): void {
  writeStatusAndFields(writer, bytes, head);
  if (head.status === 101) {
    writer.all(upgradeFields);
    writer.range(bytes, head.upgradeStart, head.upgradeEnd);
    writer.all(crlf);
  }
  if (stickyCookie !== undefined) writer.text(stickyCookie);
  writer.all(crlf);
}

function writeStatusAndFields(writer: ByteWriter, bytes: Uint8Array, head: ResponseHead): void {
  const { fields } = head;
  let runStart = -1;
  let runEnd = -1;
  const lineEnd = head.reasonEnd + crlf.length;
  // Some leave the space before an empty reason out; we do not (RFC 9112 section 4).
  const spaced = bytes[head.reasonStart - 1] === 32;
  if (spaced && head.minor === 1 && fields.count > 0 && fields.nameStart[0] === lineEnd) {
    // The status line goes on as it came, in one run with the first fields.
    runStart = head.reasonStart - statusBytes;
    runEnd = lineEnd;
  } else {
    writer.all(version);
    writer.number(head.status);
    writer.byte(32);
    writer.range(bytes, head.reasonStart, head.reasonEnd);
    writer.all(crlf);
  }
  for (let i = 0; i < fields.count; i++) {
    if (fields.dropped[i] === 1) continue;
    const start = fields.nameStart[i]!;
    if (start !== runEnd) {
      if (runStart >= 0) writer.range(bytes, runStart, runEnd);
      runStart = start;
    }
    runEnd = fields.lineEnd[i]!;
  }
  if (runStart >= 0) writer.range(bytes, runStart, runEnd);
}
