// Used request ids in etcd: PREFIX/requests/ID, as JSON under a lease that lasts.
//
// Knows: their text. A request id is the caller's, so its key is escaped: see etcd-layout.ts.

import type { Etcd, KeyValue } from "../etcd/etcd.ts";
import { shownKey } from "../etcd/etcd.ts";
import { RouterError } from "../model/errors.ts";
import { parseRevision } from "../model/revision.ts";
import { parseJsonFields } from "./etcd-json.ts";
import type { EtcdLayout } from "./etcd-layout.ts";
import type { RequestRecord, Write } from "./store.ts";

export function encodeRequest({ fingerprint, answer }: NonNullable<Write["request"]>): string {
  return JSON.stringify({ fingerprint, answer: Buffer.from(answer).toString("base64") });
}

/** Asks etcd itself, so that an id that another node has just used is known. Rejects as `Etcd.range`. */
export async function findRequest(
  etcd: Etcd,
  layout: EtcdLayout,
  id: string,
): Promise<RequestRecord | undefined> {
  const { kvs } = await etcd.range({ key: layout.request(id) });
  const [kv] = kvs;
  return kv === undefined ? undefined : decodeRequest(id, kv);
}

function decodeRequest(id: string, kv: KeyValue): RequestRecord {
  try {
    const fields = parseJsonFields(kv.text ?? "");
    return {
      id,
      fingerprint: fields.exact("fingerprint"),
      answer: Uint8Array.from(Buffer.from(fields.exact("answer"), "base64")),
      revision: parseRevision(kv.modRevision),
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
