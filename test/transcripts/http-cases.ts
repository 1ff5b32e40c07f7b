// The HTTP/1 cases as data: what arrives, and what the router must do with it.
//
// The words of `expect` are explained where they are judged: http-cases.test.ts (the parser alone)
// and support/http-case-runner.ts (a running node).

import { readFileSync } from "node:fs";
import { readTranscripts } from "./transcript-file.ts";

/** Which fields a message must have and must not have; `/…/` is a regular expression. */
export interface FieldView {
  readonly fields?: Readonly<Record<string, string>>;
  readonly absent?: readonly string[];
}

/** What the client must see of the first final answer, and how many interim ones in all. */
export interface ClientView extends FieldView {
  readonly interims?: number;
}

/** What the backend must see of the first forwarded request. */
export interface UpstreamView extends FieldView {
  readonly line?: string;
  readonly lacks?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly bodyLength?: number;
  readonly trailers?: number;
  readonly requests?: number;
}

export interface HttpCase {
  readonly id: string;
  readonly group: string;
  /** From a client to the router, or from a backend as the answer to `request`. */
  readonly dir: "c2p" | "u2p";
  /** What is sent, as latin1 text. */
  readonly bytes: string;
  readonly request?: string;
  readonly after?: "keep" | "close";
  readonly late?: string;
  readonly early?: boolean;
  readonly expect: string;
  /** What the parser alone makes of it, where a session decides otherwise. */
  readonly alone?: string;
  readonly alsoOk?: readonly string[];
  /** Final answers on the client's connection, exactly. */
  readonly responses?: number;
  readonly upstream?: UpstreamView;
  readonly client?: ClientView;
  readonly note: string;
}

type Packed = string | readonly (string | { readonly repeat: string; readonly times: number })[];

function unpack(packed: Packed): string {
  if (typeof packed === "string") return packed;
  return packed
    .map((part) => (typeof part === "string" ? part : part.repeat.repeat(part.times)))
    .join("");
}

const file = new URL("http1-cases.json", import.meta.url);
const stored = JSON.parse(readFileSync(file, "utf8")) as (HttpCase & { bytes: Packed })[];

/** Collected from what other routers got wrong. */
const collectedCases: readonly HttpCase[] = stored.map((packed) => ({
  ...packed,
  bytes: unpack(packed.bytes),
}));

/** What the same rules of the RFCs imply besides. */
export const furtherCases: readonly HttpCase[] = [
  ...readTranscripts("further-requests.txt"),
  ...readTranscripts("further-answers.txt"),
  ...readTranscripts("semantics.txt"),
  ...readTranscripts("audit.txt"),
];

export const httpCases: readonly HttpCase[] = [...collectedCases, ...furtherCases];
