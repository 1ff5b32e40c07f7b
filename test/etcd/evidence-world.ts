// A real etcd, a link to it that fails on request, and a follower at its far end.

import { expect, onTestFinished } from "vitest";
import type { EtcdClient } from "../../src/etcd/client.ts";
import { type Etcd, type EtcdSetting, type KeyRange, prefixEnd } from "../../src/etcd/etcd.ts";
import { FollowedPrefix, type FollowedPrefixOptions } from "../../src/etcd/followed-prefix.ts";
import { Lister } from "../../src/etcd/listing.ts";
import { realSystem } from "../../src/system.ts";
import { openClient, put } from "../support/etcd-client.ts";
import type { EtcdServer } from "../support/etcd-server.ts";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { type RecordingLog, recordingLog } from "../support/recording-log.ts";
import { RecordingOwner } from "./followed-fixture.ts";

/** What the issue allows between the return of a link and equality, in ms. */
export const equalMsMax = 5_000;

export interface World<Owner extends RecordingOwner = RecordingOwner> {
  readonly range: KeyRange;
  readonly link: FaultProxy;
  /** Not over the link. */
  readonly direct: EtcdClient;
  /** Over the link. */
  readonly far: EtcdClient;
  readonly owner: Owner;
  readonly log: RecordingLog;
  readonly followed: FollowedPrefix;
}

export interface WorldOptions<Owner extends RecordingOwner> {
  readonly server: EtcdServer;
  readonly prefix: string;
  readonly owner: Owner;
  readonly user?: Partial<EtcdSetting>;
  readonly options?: Partial<FollowedPrefixOptions>;
}

/** Ends with the test. */
export async function openWorld<Owner extends RecordingOwner>(
  given: WorldOptions<Owner>,
): Promise<World<Owner>> {
  const { server, prefix, owner, user } = given;
  const link = await startFaultProxy({ port: server.port });
  onTestFinished(() => link.close());
  const range = { key: prefix, end: prefixEnd(prefix) };
  const far = await openClient(link.endpoint, user);
  const log = recordingLog();
  const followed = FollowedPrefix.open({
    etcd: far,
    system: realSystem,
    log,
    range,
    owner,
    name: `etcd:${link.endpoint}${prefix}`,
    ...given.options,
  });
  onTestFinished(() => followed.close());
  const direct = await openClient(server.endpoint, user);
  return { range, link, direct, far, owner, log, followed };
}

/** Waits until `revision` was handed over, then compares everything; the answer is the time it took, in ms. */
export async function expectEqual(
  { direct, followed, range, owner }: World,
  revision: number,
  timeoutMs: number,
): Promise<number> {
  const startMs = performance.now();
  await followed.reached(revision, AbortSignal.timeout(timeoutMs));
  const tookMs = performance.now() - startMs;
  expect(followed.revision, `reached within ${timeoutMs} ms`).toBeGreaterThanOrEqual(revision);
  expect(revisionsOf(followed)).toEqual(await storedRevisions(direct, range));
  expect(owner.faults).toEqual([]);
  return Math.round(tookMs);
}

function revisionsOf(followed: FollowedPrefix): Map<string, number> {
  return new Map([...followed.entries.values()].map((kv) => [kv.key, kv.modRevision]));
}

async function storedRevisions(etcd: Etcd, range: KeyRange): Promise<Map<string, number>> {
  const stored = new Map<string, number>();
  const lister = new Lister({ etcd, range, skip: undefined });
  await lister.list(
    { begin: () => stored.clear(), see: (kv) => void stored.set(kv.key, kv.modRevision) },
    { keysOnly: true, signal: AbortSignal.timeout(10_000) },
  );
  return stored;
}

/** One revision per key; the last one. */
export async function fill(
  etcd: Etcd,
  prefix: string,
  count: number,
  bytes: number,
  width = 50,
): Promise<number> {
  const value = "x".repeat(bytes);
  let newest = 0;
  for (let n = 0; n < count; n += width) {
    const puts = Array.from({ length: Math.min(width, count - n) }, (_, i) =>
      put(etcd, `${prefix}${n + i}`, value),
    );
    for (const { header } of await Promise.all(puts)) newest = Math.max(newest, header.revision);
  }
  return newest;
}
