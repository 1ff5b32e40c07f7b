// Goal: what services and backends say is stored whole, in every implementation alike.
// Method: services with anything in them, of a fixed seed; a backend through its life.

import * as fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Change } from "../../src/model/change.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { anyService } from "../support/any-service.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { backendAt, put, putBackend, sorted, take } from "./samples.ts";
import type { Open } from "./store.contract.ts";

/** With everything in them, one way and another. */
const services = fc
  .sample(anyService({ paused: true }), { numRuns: 40, seed: 6 })
  .map((service, i) => ({ ...service, name: parseServiceName(`s${10 + i}`) }));

export function describeEntries(name: string, open: Open): void {
  async function opened() {
    const store = await open({ system: new FakeSystem() });
    onTestFinished(() => store.close());
    return { store };
  }

  describe(`${name}: services and backends`, () => {
    test("1: a backend is as old as the write that brought it, whatever changed since", async () => {
      const { store } = await opened();
      const first = await put(store, putBackend("10.0.0.1:1"));
      const second = await put(store, putBackend("10.0.0.2:1"));
      await put(store, putBackend("10.0.0.1:1", { weight: 7, joined: first }));
      const joined = async () => sorted(await store.read()).backends.map((one) => one.joined);
      expect(await joined()).toEqual([first, second]);
      const { service, address } = backendAt("10.0.0.1:1");
      await put(store, { kind: "backend-removed", service, address });
      const again = await put(store, putBackend("10.0.0.1:1"));
      expect(await joined()).toEqual([again, second]);
      const changeSets = await take(store, parseRevision(again - 1), 1);
      expect(changeSets[0]?.changes).toMatchObject([{ backend: { joined: again } }]);
    });

    test("1: all that a service and a backend may say comes back", async () => {
      const { store } = await opened();
      const drains = [
        { state: "draining", deadlineMs: 1_790_000_000_123 },
        { state: "drained", deadlineMs: 1_790_000_000_000, cut: 3 },
      ] as const;
      await put(
        store,
        ...drains.map((drain, i) => putBackend(`10.0.0.${i}:1`, { drain })),
        ...services.map((one): Change => ({ kind: "service-put", service: one })),
      );
      const read = sorted(await store.read());
      expect(read.backends.map(({ drain }) => drain)).toEqual(drains);
      expect(read.services).toEqual(services);
    });
  });
}
