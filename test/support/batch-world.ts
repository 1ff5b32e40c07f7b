// Several stores on one etcd in memory, each behind a link that can be cut for good; and readers that look at every
// table that any of them shows.

import { onTestFinished } from "vitest";
import { type Key, prefixEnd } from "../../src/etcd/etcd.ts";
import type { Change } from "../../src/model/change.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { revisionZero } from "../../src/model/revision.ts";
import { Table } from "../../src/model/table.ts";
import { EtcdStore } from "../../src/store/etcd-store.ts";
import type { Write } from "../../src/store/store.ts";
import { LossyEtcd } from "../store/lossy-etcd.ts";
import { putRoute } from "../store/samples.ts";
import { temporaryDirectory } from "../store/temporary-directory.ts";
import { FakeEtcd } from "./fake-etcd.ts";
import { FakeSystem } from "./fake-system.ts";
import { recordingLog } from "./recording-log.ts";
import { turns, until } from "./until.ts";

/** A store's own way to the etcd that all share. */
export class Link extends LossyEtcd {
  override async close(): Promise<void> {}
}

export interface WorldNode {
  readonly store: EtcdStore;
  readonly link: Link;
}

export const prefix = "/x";

export class BatchWorld {
  readonly etcd = new FakeEtcd();
  readonly system: FakeSystem;
  readonly #ended = new Map<WorldNode, Promise<void>>();
  #count = 0;

  constructor(seed = 1) {
    this.system = new FakeSystem({ seed });
  }

  /** To be called in a test, which ends it. */
  async open(directory = temporaryDirectory()): Promise<WorldNode> {
    const link = new Link(this.etcd);
    const store = await EtcdStore.open({
      etcd: link,
      system: this.system,
      prefix,
      nodeName: `n${(this.#count += 1)}`,
      directory,
      log: recordingLog(),
    });
    const node = { store, link };
    // Before the directory goes.
    onTestFinished(() => this.#end(node));
    await this.settled(store.read());
    await turns();
    return node;
  }

  /** Ends the node as a crash does: nothing that it still sends arrives. */
  kill(node: WorldNode): Promise<void> {
    node.link.fate = () => "request lost";
    return this.#end(node);
  }

  #end(node: WorldNode): Promise<void> {
    const ended = this.#ended.get(node) ?? node.store.close();
    this.#ended.set(node, ended);
    return ended;
  }

  /** Calls `look` with the whole table after each change that the node's watch tells of. */
  async read(node: WorldNode, look: (table: Table) => void): Promise<void> {
    const table = new Table();
    const { revision, routes, services, backends } = await node.store.read();
    table.apply({
      revision,
      changes: [
        ...routes.map((route): Change => ({ kind: "route-put", route })),
        ...services.map((service): Change => ({ kind: "service-put", service })),
        ...backends.map((backend): Change => ({ kind: "backend-put", backend })),
      ],
    });
    look(table);
    void (async () => {
      for await (const set of node.store.watch(revision, new AbortController().signal)) {
        table.apply(set);
        look(table);
      }
    })();
  }

  /** Lets time pass in steps, with everything that is ready after each. */
  async pass(ms: number, stepMs = 50): Promise<void> {
    for (let at = 0; at < ms; at += stepMs) {
      await turns(2);
      this.system.advance(stepMs);
    }
    await turns(2);
  }

  /** Lets time pass until `promise` is settled. */
  async settled<T>(promise: Promise<T>): Promise<PromiseSettledResult<T>> {
    const results: PromiseSettledResult<T>[] = [];
    void Promise.allSettled([promise]).then(([one]) => results.push(one));
    await until(
      () => {
        if (results.length === 0) this.system.advance(20);
        return results.length > 0;
      },
      "a promise to be settled",
      15_000,
    );
    return results[0]!;
  }

  keys(folder: string): readonly Key[] {
    const key = `${prefix}/${folder}/`;
    const end = prefixEnd(key);
    return [...this.etcd.kvs.keys()].filter((one) => one >= key && one < end).toSorted();
  }

  get guard(): Record<string, unknown> {
    return JSON.parse(this.etcd.kvs.get(`${prefix}/table`)?.text ?? "{}") as Record<
      string,
      unknown
    >;
  }
}

/** Routes first-from to first-to, put with a service; `labels` makes each of them larger, by 768 bytes. */
export function routesTo(
  service: string,
  from: number,
  to: number,
  { labels: labelCount = 0, isNew = false } = {},
): Write["changes"] {
  const labels = Object.fromEntries(
    Array.from({ length: labelCount }, (_, i) => [`k${i}`, "€".repeat(256)]),
  );
  return Array.from({ length: to - from }, (_, i) =>
    putRoute(`r${from + i}`, {
      service: parseServiceName(service),
      labels,
      ...(isNew ? { matchRevision: revisionZero } : {}),
    }),
  );
}

/** What serves, in one text: without the revisions of the routes, with those of their matches. */
export function contentOf(table: Pick<Table, "snapshot">): string {
  const { routes, services, backends } = table.snapshot();
  return [
    ...routes.map(({ name, service, matchRevision }) => `${name} ${service} ${matchRevision}`),
    ...services.map(({ name, policy }) => `${name}: ${policy}`),
    ...backends.map(({ service, address }) => `${service} ${address}`),
  ]
    .toSorted()
    .join("\n");
}

const numberedCount = 130;

/** A large write that gives all its routes this number. */
export function numbered(number: number): Write["changes"] {
  const labels = { number: String(number) };
  return Array.from({ length: numberedCount }, (_, i) => putRoute(`n${i}`, { labels }));
}

/** The numbers that the routes of such writes have; one that is missing has 0. */
export function numbersOf(table: Pick<Table, "snapshot">): ReadonlySet<number> {
  const routes = table.snapshot().routes.filter(({ name }) => name.startsWith("n"));
  const numbers = new Set(routes.map(({ labels }) => Number(labels["number"])));
  return routes.length % numberedCount === 0 ? numbers : numbers.add(0);
}
