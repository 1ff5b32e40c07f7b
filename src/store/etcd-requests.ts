// Used request ids in etcd: PREFIX/requests/ID, as JSON under a lease that lasts.
//
// Knows: their text. A request id is the caller's, so its key is escaped: see etcd-layout.ts.
//
// The answer to a large write names every route twice; compressed it is a tenth of that.

import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import type { Etcd, KeyValue } from "../etcd/etcd.ts";
import { shownKey } from "../etcd/etcd.ts";
import { etcdAnswerBytesMax, requestGzipBytesMin } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import { parseRevision } from "../model/revision.ts";
import { type JsonFields, parseJsonFields } from "./etcd-json.ts";
import type { EtcdLayout } from "./etcd-layout.ts";
import type { RequestRecord, Write } from "./store.ts";

/** `batch`: that of a write that becomes several revisions: see `findRequest`. */
export async function encodeRequest(
  { fingerprint, answer }: NonNullable<Write["request"]>,
  batch?: string,
): Promise<string> {
  const bytes =
    answer.length < requestGzipBytesMin
      ? { answer: Buffer.from(answer).toString("base64") }
      : { gzip: (await promisify(gzip)(answer)).toString("base64") };
  return JSON.stringify({ fingerprint, ...(batch === undefined ? {} : { batch }), ...bytes });
}

/** A request that was used. */
export interface FoundRequest extends RequestRecord {
  /** Of a write that was too large for one transaction; `revision` is then that of its first. */
  readonly batch?: string;
}

/** Asks etcd itself, so that an id that another node has just used is known. Rejects as `Etcd.range`. */
export async function findRequest(
  etcd: Etcd,
  layout: EtcdLayout,
  id: string,
): Promise<FoundRequest | undefined> {
  const { kvs } = await etcd.range({ key: layout.request(id) });
  const [kv] = kvs;
  return kv === undefined ? undefined : await decodeRequest(id, kv);
}

async function decodeRequest(id: string, kv: KeyValue): Promise<FoundRequest> {
  try {
    const fields = parseJsonFields(kv.text ?? "");
    const batch = fields.text("batch");
    return {
      id,
      fingerprint: fields.exact("fingerprint"),
      answer: await answerOf(fields),
      revision: parseRevision(kv.modRevision),
      ...(batch === undefined ? {} : { batch }),
    };
  } catch (cause) {
    throw new RouterError(
      "internal",
      `${shownKey(kv.key)} in etcd, which remembers a request id, was changed and cannot be read: delete it, or use another request id`,
      {},
      { cause },
    );
  }
}

async function answerOf(fields: JsonFields): Promise<Uint8Array> {
  if (!fields.has("gzip")) return Uint8Array.from(Buffer.from(fields.exact("answer"), "base64"));
  const zipped = Buffer.from(fields.exact("gzip"), "base64");
  return Uint8Array.from(await promisify(gunzip)(zipped, { maxOutputLength: etcdAnswerBytesMax }));
}
