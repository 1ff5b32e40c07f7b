// The calls on a real TableSource and a real MemoryStore, without a port and without workers.

import { onTestFinished } from "vitest";
import { createRouterService, type RouterCalls } from "../../src/control/router-service.ts";
import { TableSource } from "../../src/control/table-source.ts";
import type { Discovery } from "../../src/discovery/discovery.ts";
import * as proto from "../../src/gen/crosspoint/v1/router.ts";
import type { Change } from "../../src/model/change.ts";
import { RouterError } from "../../src/model/errors.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import type { Store } from "../../src/store/store.ts";
import { realSystem } from "../../src/system.ts";
import { FakeServing } from "./fake-serving.ts";
import { recordingLog } from "./recording-log.ts";

type Method = Exclude<keyof RouterCalls, "watch">;

export interface ServiceOnTable {
  readonly source: TableSource;
  readonly store: Store;
  /** Fields that are left out have their default. */
  readonly call: <M extends Method>(method: M, fields?: object) => ReturnType<RouterCalls[M]>;
  /** The error that a call ends with; fails when it succeeds. */
  readonly refused: (method: Method, fields?: object) => Promise<RouterError>;
  /** As a hand does: no rules, no questions. */
  readonly write: (...changes: readonly Change[]) => Promise<void>;
}

export async function serviceOnTable(
  options: { readonly store?: Store; readonly discoveries?: readonly Discovery[] } = {},
): Promise<ServiceOnTable> {
  const { store = new MemoryStore({ system: realSystem }), discoveries = [] } = options;
  const system = realSystem;
  const source = await TableSource.start({ store, system, log: recordingLog(), discoveries });
  onTestFinished(() => source.stop());
  const calls = createRouterService({ store, view: source, serving: new FakeServing(), system });
  const context = { signal: new AbortController().signal, remainingMs: undefined };
  const call: ServiceOnTable["call"] = (method, fields = {}) => {
    const name = `${method[0]!.toUpperCase()}${method.slice(1)}Request`;
    const types = proto as unknown as Record<string, { fromPartial(fields: object): never }>;
    return calls[method](types[name]!.fromPartial(fields), context) as never;
  };
  return {
    source,
    store,
    call,
    async refused(method, fields) {
      const answer: unknown = await call(method, fields).catch((error: unknown) => error);
      if (answer instanceof RouterError) return answer;
      throw new Error(`${method} was not refused`, { cause: answer });
    },
    async write(...changes) {
      const revision = await store.commit({ expected: source.table.revision, changes });
      await source.reached(revision, context.signal);
    },
  };
}
