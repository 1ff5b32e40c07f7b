// Cases written as text, to be read by people: further-*.txt, semantics.txt, audit.txt.
//
//   = GROUP                     what follows is of this group
//   == ID  a title              begins a case; prose follows, down to the first octets
//   > octets of the client      each line ends in CRLF, unless its last character is "\"
//   < octets of the backend     there are some: the case is about an answer
//   << octets of the backend    that come later, when the connection is idle
//   expect WORD                 the outcome; `or WORD`: one that a careful router may choose as well
//   alone WORD                  what the parser by itself makes of it, when a session is needed to decide
//   upstream …                  what the backend sees: `line …`, `NAME: value`, `no NAME`, `body …`, `requests N`
//   client …                    what the first final answer says: `NAME: value`, `no NAME`; `interims N` before it
//   answers N                   final answers to the client, exactly
//   then close · early          the backend closes behind its octets · answers before the body is there
//
// In octets: \r \n \t \\ \xHH, and {a*300} for 300 times "a".

import { readFileSync } from "node:fs";
import type { ClientView, FieldView, HttpCase, UpstreamView } from "./http-cases.ts";

type Draft = {
  -readonly [K in keyof HttpCase]: HttpCase[K];
} & {
  upstream: Mutable<UpstreamView>;
  client: Mutable<ClientView>;
  fromClient: string;
  fromBackend: string;
  afterwards: string;
};
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Reads a file of this folder. Throws, with the line's number, at anything it does not know. */
export function readTranscripts(name: string): HttpCase[] {
  const lines = readFileSync(new URL(name, import.meta.url), "utf8").split("\n");
  const drafts: Draft[] = [];
  let group = "";
  for (const [index, line] of lines.entries()) {
    const heading = /^(==?) (?:([A-Z]+-\d+) {2})?(.+)$/.exec(line);
    if (heading?.[1] === "=") group = heading[3] ?? "";
    else if (heading !== null) drafts.push(begun(group, heading[2] ?? "", heading[3] ?? ""));
    else if (!line.startsWith("#") && line !== "" && !take(drafts.at(-1), line)) {
      throw new Error(`${name}:${index + 1}: not understood: ${line}`);
    }
  }
  return drafts.map(finished);
}

function begun(group: string, id: string, note: string): Draft {
  const shared = { dir: "c2p", bytes: "", expect: "" } as const;
  const octets = { fromClient: "", fromBackend: "", afterwards: "" };
  return { id, group, note, upstream: {}, client: {}, ...shared, ...octets };
}

function finished(written: Draft): HttpCase {
  const { fromClient, fromBackend, afterwards, upstream, client, ...draft } = written;
  if (draft.id === "" || draft.expect === "") {
    throw new Error(`${draft.id} ${draft.note}: without an id or an outcome`);
  }
  const isAnswer = fromBackend !== "";
  return {
    ...draft,
    dir: isAnswer ? "u2p" : "c2p",
    bytes: isAnswer ? fromBackend : fromClient,
    ...(isAnswer ? { request: fromClient, after: draft.after ?? "keep" } : {}),
    ...(afterwards === "" ? {} : { late: afterwards }),
    ...(Object.keys(upstream).length === 0 ? {} : { upstream }),
    ...(Object.keys(client).length === 0 ? {} : { client }),
  };
}

/** False when a line means nothing. */
function take(draft: Draft | undefined, line: string): boolean {
  if (draft === undefined) return false;
  const [, sign, text = ""] = /^(<<|[<>])(?: (.*))?$/.exec(line) ?? [];
  if (sign !== undefined) {
    const octets = octetsOf(text);
    if (sign === ">") draft.fromClient += octets;
    else if (sign === "<") draft.fromBackend += octets;
    else draft.afterwards += octets;
    return true;
  }
  // Prose: for people.
  if (draft.fromClient === "" && draft.fromBackend === "") return true;
  const [word = "", ...rest] = line.split(" ");
  const value = rest.join(" ");
  switch (word) {
    case "expect":
      draft.expect = value;
      return true;
    case "or":
      draft.alsoOk = [...(draft.alsoOk ?? []), value];
      return true;
    case "alone":
      draft.alone = value;
      return true;
    case "answers":
      draft.responses = Number(value);
      return true;
    case "then":
      draft.after = "close";
      return value === "close";
    case "early":
      draft.early = true;
      return value === "";
    case "upstream":
      return takeView(draft.upstream, value);
    case "client":
      return takeClientView(draft.client, value);
    default:
      return false;
  }
}

function takeView(view: Mutable<UpstreamView>, text: string): boolean {
  const [, word = "", value = ""] = /^(line|body|requests) (.*)$/.exec(text) ?? [];
  if (word === "line") view.line = value;
  else if (word === "body") view.body = value;
  else if (word === "requests") view.requests = Number(value);
  else return takeFieldView(view, text);
  return true;
}

function takeClientView(view: Mutable<ClientView>, text: string): boolean {
  const [, count] = /^interims (\d+)$/.exec(text) ?? [];
  if (count === undefined) return takeFieldView(view, text);
  view.interims = Number(count);
  return true;
}

function takeFieldView(view: Mutable<FieldView>, text: string): boolean {
  const [, absent] = /^no (\S+)$/.exec(text) ?? [];
  if (absent !== undefined) view.absent = [...(view.absent ?? []), absent];
  else {
    const [, name = "", wanted] = /^([a-z-]+): (.*)$/.exec(text) ?? [];
    if (wanted === undefined) return false;
    view.fields = { ...view.fields, [name]: wanted };
  }
  return true;
}

const escapes: Readonly<Record<string, string>> = { r: "\r", n: "\n", t: "\t", "\\": "\\" };

function octetsOf(text: string): string {
  const repeated = text.replaceAll(/\{(.+?)\*(\d+)\}/g, (_, part: string, times: string) =>
    part.repeat(Number(times)),
  );
  const open = /(?<!\\)(?:\\\\)*\\$/.test(repeated);
  const line = open ? repeated.slice(0, -1) : `${repeated}\\r\\n`;
  return line.replaceAll(/\\(?:x([0-9a-f]{2})|(.))/g, (all, hex?: string, letter?: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    const octet = escapes[letter ?? ""];
    if (octet === undefined) throw new Error(`unknown escape ${all}`);
    return octet;
  });
}
