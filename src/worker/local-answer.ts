// The answers that come from the router itself: short text, or JSON when the client asks for it,
// with the reason in X-Crosspoint-Reason.

import { STATUS_CODES } from "node:http";
import { Field } from "../protocol/field.ts";
import { Method, type RequestHead } from "../protocol/request-head.ts";
import { ascii, type ByteWriter } from "./byte-writer.ts";

/** Why the router answered by itself; also in the access log. */
export type Reason =
  | "no-route"
  | "no-backend"
  | "no-backend-reachable"
  | "backend-closed"
  | "backend-malformed"
  | "backend-slow"
  | "try-time"
  | "request-time"
  | "backend-drained"
  | "request-slow"
  | "client-slow"
  | "request-malformed"
  | "request-too-large"
  | "upgraded-limit"
  | "method-refused"
  | "redirect"
  | "redirect-to-itself"
  | "fixed-answer"
  | "access-denied"
  | "rate-limited"
  | "no-host"
  | "max-forwards"
  | "request-loop"
  | "service-full"
  | "queue-time"
  | "paused-full"
  | "paused-too-long"
  | "draining";

const texts: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  414: "URI Too Long",
  417: "Expectation Failed",
  421: "Misdirected Request",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
  508: "Loop Detected",
};

const sentences: Readonly<Record<Reason, string>> = {
  "no-route": "no route matches this host and path",
  "no-backend": "the service has no backend",
  "no-backend-reachable": "no backend of the service could be reached; nothing was sent",
  "backend-closed": "the backend broke off before it had answered",
  "backend-malformed": "the backend's answer was malformed",
  "backend-slow": "the backend did not answer in time",
  "try-time": "no backend began its answer in the time that the route gives each try",
  "request-time": "the request took longer in all than its route allows",
  "backend-drained": "the backend left before it had answered, and its time to finish was over",
  "request-slow": "the request did not arrive in time",
  "client-slow": "the client did not take its answer in time",
  "request-malformed": "the request is malformed",
  "method-refused":
    "CONNECT and TRACE are not forwarded: one opens a tunnel, the other shows what proxies added",
  "max-forwards": "the request was to be forwarded no further",
  "request-loop":
    "the request has passed here before, too often: a route leads back to this router",
  "request-too-large": "the request's body is larger than this node takes",
  "upgraded-limit": "this node has as many upgraded connections as it may",
  redirect: "what was asked for is elsewhere",
  "redirect-to-itself": "the route leads to where the request is already, and names no service",
  "fixed-answer": "the route answers by itself",
  "access-denied": "this address may not come here",
  "rate-limited": "too many requests: the route takes no more of them now",
  "no-host": "the request names no host, which its redirect needs",
  "service-full": "the service has as much to do as it may, and nobody else may wait for it",
  "queue-time": "the service had no room for the request in time",
  "paused-full": "the service is paused, and nobody else may wait for it",
  "paused-too-long": "the service is paused, and the request has waited as long as it may",
  draining: "this node is leaving",
};

export interface LocalAnswer {
  readonly status: number;
  readonly reason: Reason;
  /** Which rule a malformed request broke; "" for none. */
  readonly detail: string;
  readonly close: boolean;
  /** HEAD gets no body (RFC 9110 section 9.3.2). */
  readonly headOnly: boolean;
  readonly json: boolean;
  /** HTTP/1.0 and the connection stays. */
  readonly sayKeepAlive: boolean;
  /** What to say instead of our own words. */
  readonly page?: { readonly contentType: string; readonly body: string } | undefined;
  /** Further fields, each "Name: value". */
  readonly lines?: readonly string[] | undefined;
  /** Every answer of ours tells its time (RFC 9110 section 6.6.1). */
  readonly dateLine: Uint8Array;
}

const methodsAllowed = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/** Appends the whole answer. */
export function writeLocalAnswer(writer: ByteWriter, answer: LocalAnswer): void {
  const { status, reason, lines: own = [] } = answer;
  const { contentType, body } = answer.page ?? ownPage(answer);
  const bytes = encoder.encode(body);
  // RFC 9110 sections 6.4.1 and 8.6: these two have neither body nor length.
  const isBodiless = status === 204 || status === 304;
  const lines = [`HTTP/1.1 ${status} ${texts[status] ?? STATUS_CODES[status] ?? ""}`, ...own];
  if (body !== "") lines.push(`Content-Type: ${contentType}`);
  if (!isBodiless) lines.push(`Content-Length: ${bytes.length}`);
  lines.push(`X-Crosspoint-Reason: ${reason}`);
  if (status === 503 && !own.some((line) => /^retry-after:/i.test(line))) {
    lines.push("Retry-After: 1");
  }
  const saysAllow = own.some((line) => /^allow:/i.test(line));
  if ((status === 405 && !saysAllow) || reason === "max-forwards") lines.push(methodsAllowed);
  if (answer.close) lines.push("Connection: close");
  else if (answer.sayKeepAlive) lines.push("Connection: keep-alive");
  writer.text(`${lines.join("\r\n")}\r\n`);
  writer.all(answer.dateLine);
  writer.text("\r\n");
  if (!answer.headOnly && !isBodiless) writer.all(bytes);
}

function ownPage(answer: LocalAnswer): { readonly contentType: string; readonly body: string } {
  const { status, reason, detail } = answer;
  // What we say to OPTIONS is in the fields (RFC 9110 section 9.3.7).
  if (reason === "max-forwards") return { contentType: "", body: "" };
  const sentence = detail === "" ? sentences[reason] : `${sentences[reason]}: ${detail}`;
  if (answer.json) {
    const body = `${JSON.stringify({ status, reason, message: sentence })}\n`;
    return { contentType: "application/json", body };
  }
  const body = `${status} ${texts[status] ?? STATUS_CODES[status] ?? ""}: ${sentence}\n`;
  return { contentType: "text/plain; charset=utf-8", body };
}

const encoder = new TextEncoder();

/** Whether the client would rather have JSON: it names it and does not name text first. No strings: every request asks. */
export function wantsJson(bytes: Uint8Array, head: RequestHead): boolean {
  const { fields } = head;
  for (let i = 0; i < fields.count; i++) {
    if (fields.kind[i] !== Field.Accept) continue;
    const end = fields.valueEnd[i]!;
    for (let at = fields.valueStart[i]!; at < end; at++) {
      // Only what stands around a slash matters: "text/..." or ".../json".
      if (bytes[at] !== 47) continue;
      if (isWord(bytes, at - 4, text)) return false;
      if (at + 5 <= end && isWord(bytes, at + 1, json)) return true;
    }
    return false;
  }
  return false;
}

const text = ascii("text");
const json = ascii("json");

function isWord(bytes: Uint8Array, start: number, word: Uint8Array): boolean {
  if (start < 0) return false;
  for (let i = 0; i < word.length; i++) if ((bytes[start + i]! | 32) !== word[i]) return false;
  return true;
}

export function isHead(head: RequestHead): boolean {
  return head.method === Method.Head;
}
