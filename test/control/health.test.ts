// Goal: each address is probed once for each way of being checked, whoever wants to know; what comes of it reaches every
// service that asked, and nothing is left of what is gone.
// Method: a table written by hand, a prober that only remembers what it is told, and then the same by chance from a seed.

import { describe, expect, test } from "vitest";
import type { CheckVerdict, ToWorker } from "../../src/channel/messages.ts";
import type { ProbeTarget } from "../../src/channel/prober-messages.ts";
import { HealthChecks } from "../../src/control/health.ts";
import type { Change, ChangeSet } from "../../src/model/change.ts";
import { parseServiceName } from "../../src/model/names.ts";
import type { Service } from "../../src/model/service.ts";
import type { HealthCheck } from "../../src/model/service-options.ts";
import { Table } from "../../src/model/table.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { recordingLog } from "../support/recording-log.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { backendOf, changeSetOf } from "../support/table-fixtures.ts";

const check: HealthCheck = {
  probe: { kind: "http", path: "/healthz" },
  intervalMs: 10_000,
  timeoutMs: 1_000,
  healthyThreshold: 1,
  unhealthyThreshold: 3,
};
const a = "10.0.0.1:80";
const b = "10.0.0.2:80";

function putService(name: string, healthCheck?: HealthCheck): Change {
  const options = healthCheck === undefined ? {} : { options: { healthCheck } };
  const service = { name: parseServiceName(name), ...options } as Service;
  return { kind: "service-put", service };
}
const removeService = (name: string): Change => ({
  kind: "service-removed",
  name: parseServiceName(name),
});
const putBackend = (service: string, address: string): Change => ({
  kind: "backend-put",
  backend: backendOf(service, address),
});
const removeBackend = (service: string, address: string): Change => ({
  kind: "backend-removed",
  service: parseServiceName(service),
  address: backendOf(service, address).address,
});

function world(...first: readonly Change[]) {
  const table = new Table();
  let listener: (changeSet: ChangeSet) => void = () => {};
  const write = (...changes: readonly Change[]): void => {
    const changeSet = changeSetOf(table.revision + 1, ...changes);
    table.apply(changeSet);
    listener(changeSet);
  };
  write(...first);
  const probed = new Map<number, ProbeTarget>();
  let messages = 0;
  let rests = 0;
  const prober = {
    change(added: readonly ProbeTarget[], removed: readonly number[]) {
      messages++;
      for (const id of removed) expect(probed.delete(id)).toBe(true);
      for (const target of added) {
        expect(probed.has(target.id)).toBe(false);
        probed.set(target.id, target);
      }
    },
    rest() {
      rests++;
      probed.clear();
      return Promise.resolve();
    },
  };
  const told: CheckVerdict[] = [];
  /** What a worker knows by now. */
  const known = new Map<string, string>();
  const post = (message: ToWorker): void => {
    if (message.kind !== "health") return;
    for (const verdict of message.verdicts) {
      told.push(verdict);
      const key = `${verdict.service} ${verdict.address}`;
      if (verdict.state === "unknown") known.delete(key);
      else known.set(key, `${verdict.state}: ${verdict.reason}`);
    }
  };
  const system = new FakeSystem({ wallMs: 1_000_000 });
  const log = recordingLog();
  const source = {
    table,
    subscribe(each: (changeSet: ChangeSet) => void) {
      listener = each;
      return () => (listener = () => {});
    },
  };
  const checks = new HealthChecks({ source, system, log });
  checks.follow(prober, post);
  return {
    checks,
    write,
    table,
    probed,
    told,
    known,
    log,
    system,
    prober,
    messages: () => messages,
    rests: () => rests,
    addresses: () => [...probed.values()].map(({ address }) => address).toSorted(),
    /** The prober finds the same at every target with this address. */
    find: (address: string, state: "healthy" | "unhealthy", reason = "said so"): void => {
      const found = [...probed.values()].filter((target) => target.address === address);
      checks.learn(found.map(({ id }) => ({ id, state, reason })));
    },
  };
}

describe("health checks", () => {
  test("probe the backends of services that have a check, those of the first table too", () => {
    const { addresses, write, probed } = world(putService("web", check), putBackend("web", a));
    expect(addresses()).toEqual([a]);
    write(putBackend("web", b), putBackend("other", "10.0.0.9:80"));
    expect(addresses()).toEqual([a, b]);
    expect([...probed.values()][0]).toEqual({ id: 1, address: a, check, state: "unknown" });
    write(putService("other", check));
    expect(addresses()).toEqual([a, b, "10.0.0.9:80"]);
  });

  test("probe an address once for all services that ask the same, and once more for each that asks otherwise", () => {
    const { addresses, write, known, find } = world(
      ...["s1", "s2", "s3"].flatMap((name) => [
        putService(name, { ...check }),
        putBackend(name, a),
      ]),
    );
    expect(addresses()).toEqual([a]);
    write(putService("s4", { ...check, intervalMs: 5_000 }), putBackend("s4", a));
    expect(addresses()).toEqual([a, a]);
    find(a, "unhealthy", "HTTP 500 (3 times)");
    expect([...known.keys()].toSorted()).toEqual(["s1", "s2", "s3", "s4"].map((s) => `${s} ${a}`));
    write(removeBackend("s1", a), removeBackend("s2", a));
    expect(addresses()).toEqual([a, a]);
    write(removeBackend("s3", a));
    expect(addresses()).toEqual([a]);
    expect([...known.keys()]).toEqual([`s4 ${a}`]);
  });

  test("tell a service that joins what is known already", () => {
    const { write, find, known } = world(putService("s1", check), putBackend("s1", a));
    find(a, "unhealthy", "connect refused (3 times)");
    write(putService("s2", check), putBackend("s2", a));
    expect(known.get(`s2 ${a}`)).toBe("unhealthy: connect refused (3 times)");
  });

  test.for([
    ["the backend is removed", removeBackend("web", a)],
    ["the service's settings are removed", removeService("web")],
    ["the service has no check any more", putService("web")],
  ] as const)("end when %s: nothing is known, and the thread ends", ([, change]) => {
    const { write, find, known, probed, checks, rests } = world(
      putService("web", check),
      putBackend("web", a),
    );
    find(a, "unhealthy");
    const before = rests();
    write(change);
    expect([probed.size, known.size, rests() - before]).toEqual([0, 0, 1]);
    expect(checks.verdictOf("web", a)).toBe(undefined);
    expect(checks.greetings()).toEqual([]);
  });

  test("go on from what was known when they are asked otherwise, and forget it when told so", () => {
    const { write, find, known, probed, checks } = world(
      putService("web", check),
      putBackend("web", a),
    );
    find(a, "unhealthy", "HTTP 500 (3 times)");
    write(putService("web", { ...check, probe: { kind: "tcp" } }));
    expect([...probed.values()]).toMatchObject([{ id: 2, state: "unhealthy" }]);
    expect(known.get(`web ${a}`)).toBe("unhealthy: HTTP 500 (3 times)");
    find(a, "healthy", "connects");
    expect(known.get(`web ${a}`)).toBe("healthy: connects");
    expect(checks.verdictOf("web", a)).toMatchObject({ state: "healthy", reason: "connects" });
  });

  test("do not disturb the prober when a service changes in something else", () => {
    const { write, messages } = world(putService("web", check), putBackend("web", a));
    const before = messages();
    write(putService("web", { ...check }));
    write(putBackend("web", a));
    expect(messages()).toBe(before);
  });

  test("say since when, and nothing of what is not checked", () => {
    const { checks, find, system, write } = world(putService("web", check), putBackend("web", a));
    write(putBackend("plain", b));
    const unknown = {
      service: "web",
      address: a,
      state: "unknown",
      reason: "",
      sinceMs: undefined,
    };
    expect(checks.verdictOf("web", a)).toEqual(unknown);
    expect(checks.verdictOf("plain", b)).toBe(undefined);
    system.advance(500);
    find(a, "unhealthy", "no answer within 1 s (3 times)");
    system.advance(500);
    find(a, "unhealthy", "connect refused (the last of 4 failures)");
    expect(checks.verdictOf("web", a)).toMatchObject({
      reason: "connect refused (the last of 4 failures)",
      sinceMs: 1_000_500,
    });
    expect(checks.unhealthyCount).toBe(1);
  });

  test("greet a worker with all that is known, in one message", () => {
    const { checks, find } = world(
      ...[a, b].flatMap((address) => [putBackend("s1", address), putBackend("s2", address)]),
      putService("s1", check),
      putService("s2", check),
    );
    expect(checks.greetings()).toEqual([]);
    find(a, "healthy", "HTTP 200");
    const [greeting] = checks.greetings();
    expect(greeting).toMatchObject({
      kind: "health",
      verdicts: [
        { service: "s1", address: a, state: "healthy" },
        { service: "s2", address: a, state: "healthy" },
      ],
    });
  });

  test("log what changes, line by line for a few, as a number for many, and no first success", () => {
    const backends = Array.from({ length: 30 }, (_, n) => `10.0.1.${n}:80`);
    const { checks, probed, log } = world(
      putService("web", check),
      ...backends.map((address) => putBackend("web", address)),
    );
    const all = (state: "healthy" | "unhealthy") =>
      [...probed.keys()].map((id) => ({ id, state, reason: "said so" }));
    checks.learn(all("healthy"));
    expect(log.entries).toEqual([]);
    checks.learn(all("unhealthy"));
    expect(log.entries).toHaveLength(21);
    expect(log.entries[0]).toEqual({
      level: "warn",
      message: "a backend is unhealthy",
      fields: { backend: "10.0.1.0:80", services: "web", reason: "said so" },
    });
    expect(log.entries.at(-1)?.fields).toEqual({ backends: 10 });
    checks.learn(all("healthy").slice(0, 1));
    expect(log.entries.at(-1)?.message).toBe("a backend is healthy again");
  });

  test("leave alone what the prober says of a target that is gone", () => {
    const { checks, write, told } = world(putService("web", check), putBackend("web", a));
    write(removeBackend("web", a));
    checks.learn([{ id: 1, state: "unhealthy", reason: "late" }]);
    expect(told).toEqual([]);
  });
});

test.for(Array.from({ length: 30 }, (_, seed) => seed))(
  "whatever changes, what is probed and known is what the table asks for, seed %i",
  (seed) => {
    const random = new SeededRandom(seed);
    const { write, table, probed, known, find, checks } = world();
    const services = ["s1", "s2", "s3", "s4"];
    const addresses = Array.from({ length: 6 }, (_, n) => `10.0.0.${n}:80`);
    const ways = [undefined, check, { ...check, timeoutMs: 500 }];
    for (let step = 0; step < 300; step++) {
      const changes = Array.from({ length: 1 + random.below(3) }, (): Change => {
        const service = random.one(services);
        const address = random.one(addresses);
        if (random.chance(0.3)) return putService(service, random.one(ways));
        if (random.chance(0.1)) return removeService(service);
        return random.chance(0.5) ? putBackend(service, address) : removeBackend(service, address);
      });
      // As the store has it, no thing is named twice in one change.
      const named = new Map(changes.map((change) => [nameOf(change), change]));
      write(...named.values());
      if (random.chance(0.5)) {
        find(random.one(addresses), random.chance(0.5) ? "healthy" : "unhealthy", `at ${step}`);
      }
      const wanted = new Set<string>();
      const checked = new Set<string>();
      for (const service of table.services()) {
        const way = service.options?.healthCheck;
        if (way === undefined) continue;
        for (const address of table.backendsOf(service.name).keys()) {
          wanted.add(`${address} ${way.timeoutMs}`);
          checked.add(`${service.name} ${address}`);
        }
      }
      const asked = [...probed.values()].map(
        ({ address, check: { timeoutMs } }) => `${address} ${timeoutMs}`,
      );
      expect(asked.toSorted()).toEqual([...wanted].toSorted());
      const told = [...checked].filter((key) => known.has(key));
      expect([...known.keys()].toSorted()).toEqual(told.toSorted());
      const [greeting] = checks.greetings();
      const greeted = greeting?.kind === "health" ? greeting.verdicts : [];
      const says = greeted.map((v) => [`${v.service} ${v.address}`, `${v.state}: ${v.reason}`]);
      expect(new Map(says as [string, string][])).toEqual(known);
    }
  },
);

function nameOf(change: Change): string {
  switch (change.kind) {
    case "service-put":
      return change.service.name;
    case "service-removed":
      return change.name;
    case "backend-put":
      return `${change.backend.service} ${change.backend.address}`;
    case "backend-removed":
      return `${change.service} ${change.address}`;
    default:
      return change.kind;
  }
}
