// A second, independent reader of HTTP/1.1 for tests: RFC 9112 by regular expressions over latin1
// text. Slow and strict; shares no code with src/protocol, so the two can disagree.

export interface StrictMessage {
  startLine: string;
  /** Names in lower case. */
  fields: (readonly [string, string])[];
  body: string;
  trailers: number;
  complete: boolean;
  /** Octets used, when complete. */
  length: number;
  /** What a strict reader objects to. */
  violations: string[];
}

export type StrictKind = "request" | "response";

const startLines: Readonly<Record<StrictKind, RegExp>> = {
  request: /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [\x21-\x7e]+ HTTP\/1\.[01]$/,
  response: /^HTTP\/1\.[01] [1-5][0-9][0-9](?: [\t\x20-\x7e\x80-\xff]*)?$/,
};
const fieldLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*([\t\x20-\x7e\x80-\xff]*?)[\t ]*$/;

/** Reads the first message of `text`; undefined when not a single octet is there. */
export function readStrict(
  text: string,
  kind: StrictKind,
  options: { readonly bodiless?: boolean; readonly ended?: boolean } = {},
): StrictMessage | undefined {
  if (text === "") return undefined;
  const message: StrictMessage = {
    startLine: text.split("\r\n", 1)[0] ?? "",
    fields: [],
    body: "",
    trailers: 0,
    complete: false,
    length: 0,
    violations: [],
  };
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd < 0) return message;
  readHead(message, text.slice(0, headEnd), kind);
  readBody(message, text, headEnd + 4, kind, options);
  return message;
}

export function valuesOf(message: StrictMessage, name: string): string[] {
  return message.fields.filter(([field]) => field === name).map(([, value]) => value);
}

export function statusOf(message: StrictMessage): number {
  return Number(message.startLine.split(" ")[1]);
}

function readHead(message: StrictMessage, head: string, kind: StrictKind): void {
  const [startLine = "", ...lines] = head.split("\r\n");
  if (!startLines[kind].test(startLine)) message.violations.push(`start line: ${startLine}`);
  for (const line of lines) {
    const match = fieldLine.exec(line);
    if (match === null) message.violations.push(`field line: ${JSON.stringify(line)}`);
    else message.fields.push([(match[1] ?? "").toLowerCase(), match[2] ?? ""]);
  }
  const hosts = valuesOf(message, "host").length;
  const hostsMin = startLine.endsWith("HTTP/1.0") ? 0 : 1;
  if (kind === "request" && (hosts > 1 || hosts < hostsMin))
    message.violations.push(`${hosts} Host`);
  const lengths = valuesOf(message, "content-length");
  const codings = valuesOf(message, "transfer-encoding");
  if (lengths.length + codings.length > 1) message.violations.push("more than one framing");
  if (lengths.some((length) => !/^(0|[1-9][0-9]*)$/.test(length))) {
    message.violations.push(`content-length: ${lengths.join()}`);
  }
  if (codings.some((coding) => coding !== "chunked")) {
    message.violations.push(`transfer-encoding: ${codings.join()}`);
  }
}

function readBody(
  message: StrictMessage,
  text: string,
  start: number,
  kind: StrictKind,
  options: { readonly bodiless?: boolean; readonly ended?: boolean },
): void {
  const status = kind === "response" ? statusOf(message) : 0;
  const bodiless =
    options.bodiless === true ||
    (kind === "response" && (status < 200 || status === 204 || status === 304));
  const length = valuesOf(message, "content-length")[0];
  if (bodiless) {
    finish(message, start);
  } else if (valuesOf(message, "transfer-encoding").length > 0) {
    readChunks(message, text, start);
  } else if (length !== undefined) {
    message.body = text.slice(start, start + Number(length));
    if (message.body.length === Number(length)) finish(message, start + message.body.length);
  } else if (kind === "request") {
    finish(message, start);
  } else {
    message.body = text.slice(start);
    if (options.ended === true) finish(message, text.length);
  }
}

function readChunks(message: StrictMessage, text: string, start: number): void {
  let at = start;
  for (;;) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd < 0) return;
    const sizeText = text.slice(at, lineEnd);
    if (!/^[0-9a-fA-F]+$/.test(sizeText)) {
      message.violations.push(`chunk size: ${JSON.stringify(sizeText.slice(0, 40))}`);
      return;
    }
    const size = Number.parseInt(sizeText, 16);
    at = lineEnd + 2;
    if (size === 0) break;
    message.body += text.slice(at, at + size);
    if (text.length < at + size + 2) return;
    if (text.slice(at + size, at + size + 2) !== "\r\n") {
      message.violations.push("no CRLF behind a chunk");
      return;
    }
    at += size + 2;
  }
  for (;;) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd < 0) return;
    if (lineEnd === at) return finish(message, at + 2);
    message.trailers++;
    at = lineEnd + 2;
  }
}

function finish(message: StrictMessage, length: number): void {
  message.complete = true;
  message.length = length;
}
