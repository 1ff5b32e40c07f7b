// What a node's entry in etcd says, as JSON, and back; docs/ETCD.md describes it for people.
//
// Knows: PREFIX/nodes/NAME and PREFIX/writes/NAME. Does not know: leases, who lives.
//
// Anybody can write there, so nothing is believed that does not read as it must. Unknown fields are a later
// version's and are passed over: an entry of a newer node still says how far that node is.

import type { KeyValue } from "../etcd/etcd.ts";
import { RouterError } from "../model/errors.ts";
import { parseRevision, type Revision, revisionZero } from "../model/revision.ts";
import type { MemberInfo, MemberReport, OpenWork, Unserved } from "./members.ts";

/** What a node asks of the others. */
export interface Ask {
  /** 0: the revision of the write that it came with. */
  readonly revision: Revision;
  readonly waitMs: number;
}

/** A node's entry. */
export interface NodeValue {
  /** Whose entry it is: see node-id.ts. */
  readonly nodeId: string;
  /** Which process wrote it: another one for each start. */
  readonly run: string;
  readonly starting: boolean;
  readonly info: MemberInfo;
  readonly report: MemberReport;
  /** Counts the reports of one process. */
  readonly reports: number;
  /** The last question, while it is waited for; `number` counts the questions of one process. */
  readonly ask?: Ask & { readonly number: number };
}

export function nodeText(value: NodeValue): string {
  return JSON.stringify(value);
}

/** Throws "invalid-argument" saying what is wrong with it. */
export function parseNode(name: string, kv: KeyValue): NodeValue {
  const value = new Fields(parseJson(kv));
  const info = value.object("info");
  const report = value.object("report");
  const served = report.revision("servedRevision");
  const lag = report.optional("lag");
  const unserved = report.has("unserved") ? report.objects("unserved").map(unservedOf) : [];
  const open = report.optional("open");
  const asked = numbered(value.optional("ask"), kv);
  const node: NodeValue = {
    nodeId: value.text("nodeId"),
    run: value.text("run"),
    starting: value.flag("starting"),
    info: {
      name: info.text("name"),
      version: info.text("version"),
      rpc: info.text("rpc"),
      admin: info.text("admin"),
      http: info.texts("http"),
      workers: info.count("workers"),
      io: info.text("io"),
      startTimeMs: info.count("startTimeMs"),
    },
    report: {
      // Nothing that is served can be newer than the entry that says so: it comes from before the store was
      // put back to an older copy, and means nothing now.
      servedRevision: served <= kv.modRevision ? served : revisionZero,
      lag: lag && {
        revision: lag.revision("revision"),
        reason: lag.text("reason"),
        refused: lag.flag("refused"),
      },
      ...(unserved.length > 0 && { unserved }),
      // As above: what was counted before the store was put back means nothing.
      ...(open && open.revision("revision") <= kv.modRevision && { open: openOf(open) }),
    },
    reports: value.count("reports"),
    ...(asked && { ask: asked }),
  };
  if (node.info.name !== name) throw wrong(`it is the entry of "${node.info.name}"`);
  return node;
}

/** What `PREFIX/writes/NAME` asks; undefined: nothing. Throws "invalid-argument" saying what is wrong. */
export function parseAsk(kv: KeyValue): Ask | undefined {
  const ask = new Fields(parseJson(kv)).optional("ask");
  if (ask === undefined) return undefined;
  const { revision, waitMs } = askOf(ask);
  if (isToCome(revision, kv)) return undefined;
  return { revision: revision === 0 ? parseRevision(kv.modRevision) : revision, waitMs };
}

function numbered(ask: Fields | undefined, kv: KeyValue): NodeValue["ask"] {
  if (ask === undefined) return undefined;
  const asked = { ...askOf(ask), number: ask.count("number") };
  return isToCome(asked.revision, kv) ? undefined : asked;
}

/**
 * Nobody knows a revision that comes after the entry that asks for it: it is of a store that was put back since, or
 * made up, and whoever waited for it would have less room for the questions of others.
 */
function isToCome(revision: Revision, { modRevision }: KeyValue): boolean {
  return revision > modRevision;
}

function unservedOf(one: Fields): Unserved {
  return { revision: one.revision("revision"), reason: one.text("reason") };
}

function openOf(open: Fields): OpenWork {
  const places = open.objects("places").map((one) => ({
    service: one.text("service"),
    address: one.text("address"),
    inFlight: one.count("inFlight"),
  }));
  return { revision: open.revision("revision"), places, more: open.flag("more") };
}

function askOf(ask: Fields): Ask {
  return {
    revision: ask.has("revision") ? ask.revision("revision") : revisionZero,
    waitMs: ask.count("waitMs"),
  };
}

function parseJson({ text }: KeyValue): unknown {
  if (text === undefined) throw wrong("it is no text, or too long");
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw wrong("it is not JSON");
  }
}

/** Reads fields of a JSON object, each of the kind that it must have. */
class Fields {
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #path: string;

  constructor(value: unknown, path = "") {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw wrong(`${path === "" ? "it" : path} is not an object`);
    }
    this.#values = new Map(Object.entries(value));
    this.#path = path === "" ? "" : `${path}.`;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  object(name: string): Fields {
    return new Fields(this.#values.get(name), this.#path + name);
  }

  objects(name: string): readonly Fields[] {
    const value = this.#values.get(name);
    if (!Array.isArray(value)) return this.#not(name, "a list");
    return value.map((one: unknown, index) => new Fields(one, `${this.#path}${name}[${index}]`));
  }

  optional(name: string): Fields | undefined {
    return this.has(name) ? this.object(name) : undefined;
  }

  text(name: string): string {
    const value = this.#values.get(name);
    return typeof value === "string" ? value : this.#not(name, "a text");
  }

  texts(name: string): readonly string[] {
    const value = this.#values.get(name);
    if (!Array.isArray(value)) return this.#not(name, "a list");
    return value.map((one: unknown) =>
      typeof one === "string" ? one : this.#not(name, "a list of texts"),
    );
  }

  flag(name: string): boolean {
    const value = this.#values.get(name);
    return typeof value === "boolean" ? value : this.#not(name, "true or false");
  }

  count(name: string): number {
    const value = this.#values.get(name);
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
    return this.#not(name, "a whole number");
  }

  revision(name: string): Revision {
    return parseRevision(this.count(name));
  }

  #not(name: string, kind: string): never {
    throw wrong(`${this.#path}${name} is not ${kind}`);
  }
}

function wrong(description: string): RouterError {
  return new RouterError("invalid-argument", description);
}
