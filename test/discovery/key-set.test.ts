// Goal: keys that come, change and go add up to the right backends, each told once, however they come.
// Method: the cases of the programs that this replaces, by their names; then random batches against a naive
// model that reads everything anew.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { discoverdKeys } from "../../src/discovery/discoverd-keys.ts";
import { KeySet, type KeySetChange } from "../../src/discovery/key-set.ts";
import type { KeyForm } from "../../src/discovery/reading.ts";
import { instanceKeys, serviceKeys } from "../../src/discovery/service-keys.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { keyOf, keyValue } from "../support/followed-by-hand.ts";

type Puts = Readonly<Record<string, string | undefined>>;

class Keys {
  readonly set: KeySet;
  readonly #prefix: string;

  constructor(kind: string, prefix: string, form: KeyForm) {
    this.#prefix = prefix;
    this.set = new KeySet({ kind, prefix, form });
  }

  put(puts: Puts): KeySetChange {
    return this.batch(puts, []);
  }

  remove(...deletes: readonly string[]): KeySetChange {
    return this.batch({}, deletes);
  }

  batch(puts: Puts, deletes: readonly string[]): KeySetChange {
    return this.set.apply({
      revision: 1,
      puts: Object.entries(puts).map(([key, text]) => keyValue(this.#prefix + key, text)),
      deletes: deletes.map((key) => keyOf(this.#prefix + key)),
    });
  }

  get told(): readonly string[] {
    return this.set.backends
      .map(({ backend, source }) => `${backend.service} ${backend.address} ${source}`)
      .toSorted();
  }

  get reasons(): readonly string[] {
    return this.set.unreadable.map(({ key, reason }) => `${key}: ${reason}`);
  }
}

const services = (): Keys => new Keys("etcd", "/services/", serviceKeys);
const folder = (): Keys =>
  new Keys("etcd", "/services/postgres/", instanceKeys(parseServiceName("postgres")));
const discoverd = (): Keys => new Keys("discoverd", "/discover/services/", discoverdKeys);
const at = (host: string, port = 5432): string => JSON.stringify({ host, port });

describe("the forwarder's cases, in one service's folder", () => {
  test("an empty path has no backend", () => {
    const keys = folder();
    expect(keys.put({})).toEqual({ changed: false, unreadable: new Set(), news: [] });
    expect(keys.told).toEqual([]);
  });

  test("a node is one; with an empty host it is none, and listed (etcd-netfw counted it)", () => {
    const keys = folder();
    expect(keys.put({ "1/location": at("172.31.51.34") }).changed).toBe(true);
    expect(keys.put({ "2/location": at("") }).changed).toBe(false);
    expect(keys.told).toEqual(["postgres 172.31.51.34:5432 etcd:/services/postgres/1/location"]);
    expect(keys.reasons).toEqual([
      '/services/postgres/2/location: host: "" is not a host: an IP address or a host name',
    ]);
  });

  test("the same node twice is one, and the second time no change", () => {
    const keys = folder();
    keys.put({ "1": at("a") });
    expect(keys.put({ "1": at("a") }).changed).toBe(false);
    expect(keys.told).toHaveLength(1);
  });

  test("a node that went and came back in one batch is told: it is younger", () => {
    const keys = folder();
    keys.put({ 1: at("10.0.0.1") });
    const again = { ...keyValue("/services/postgres/1", at("10.0.0.1")), createRevision: 9 };
    const change = keys.set.apply({ revision: 9, puts: [again], deletes: [] });
    expect(change.changed).toBe(true);
    expect(keys.set.backends).toMatchObject([{ backend: { joined: 9 } }]);
  });

  test("the same key with a new value is still one, at the new address", () => {
    const keys = folder();
    keys.put({ "1": at("a") });
    expect(keys.put({ "1": at("b") }).changed).toBe(true);
    expect(keys.told).toEqual(["postgres b:5432 etcd:/services/postgres/1"]);
  });

  test("deleted or expired, it is gone; an unknown key's deletion changes nothing", () => {
    const keys = folder();
    keys.put({ "1": at("a"), "2": at("b") });
    expect(keys.remove("1").changed).toBe(true);
    expect(keys.remove("1", "7", "7/location", "").changed).toBe(false);
    expect(keys.told).toEqual(["postgres b:5432 etcd:/services/postgres/2"]);
  });

  test("malformed JSON leaves the others alone", () => {
    const keys = folder();
    const change = keys.put({ "1": "{host:", "2": at("b") });
    expect(change.unreadable).toEqual(new Set(["/services/postgres/1"]));
    expect(keys.told).toEqual(["postgres b:5432 etcd:/services/postgres/2"]);
  });
});

describe("two keys of one ID", () => {
  test("the location counts, in either order, and the other one when it goes", () => {
    for (const order of [
      ["web/1", "web/1/location"],
      ["web/1/location", "web/1"],
    ]) {
      const keys = services();
      for (const key of order) keys.put({ [key]: at(key.endsWith("location") ? "b" : "a") });
      expect(keys.told).toEqual(["web b:5432 etcd:/services/web/1/location"]);
      expect(keys.remove("web/1/location").changed).toBe(true);
      expect(keys.told).toEqual(["web a:5432 etcd:/services/web/1"]);
      keys.remove("web/1");
      expect(keys.told).toEqual([]);
    }
  });

  test("a location that was never readable does not silence the other", () => {
    const keys = services();
    keys.put({ "web/1": at("a"), "web/1/location": "?" });
    expect(keys.told).toEqual(["web a:5432 etcd:/services/web/1"]);
  });
});

describe("two IDs with one address", () => {
  test("are one backend, of the smaller key, until both are gone", () => {
    const keys = services();
    keys.put({ "web/2": at("a"), "web/1": at("a") });
    expect(keys.told).toEqual(["web a:5432 etcd:/services/web/1"]);
    expect(keys.remove("web/1").changed).toBe(true);
    expect(keys.told).toEqual(["web a:5432 etcd:/services/web/2"]);
    keys.remove("web/2");
    expect(keys.told).toEqual([]);
  });

  test("however it is spelt; in another service it is another backend", () => {
    const keys = services();
    keys.put({
      "web/1": at("FD00::1", 80),
      "web/2": at("[fd00:0::1]", 80),
      "api/1": at("fd00::1", 80),
    });
    expect(keys.told).toEqual([
      "api [fd00::1]:80 etcd:/services/api/1",
      "web [fd00::1]:80 etcd:/services/web/1",
    ]);
  });

  test("of which one moves: the other one stays", () => {
    const keys = services();
    keys.put({ "web/1": at("a"), "web/2": at("a") });
    keys.put({ "web/1": at("b") });
    expect(keys.told).toEqual([
      "web a:5432 etcd:/services/web/2",
      "web b:5432 etcd:/services/web/1",
    ]);
  });
});

describe("a key that cannot be read", () => {
  test("keeps its last good value, is told once, and heals", () => {
    const keys = services();
    keys.put({ "web/1": at("a") });
    const first = keys.put({ "web/1": "null" });
    expect(first).toMatchObject({ changed: false, unreadable: new Set(["/services/web/1"]) });
    expect(first.news).toHaveLength(1);
    expect(keys.told).toEqual(["web a:5432 etcd:/services/web/1"]);
    const again = keys.put({ "web/1": "null" });
    expect(again).toMatchObject({ unreadable: new Set(["/services/web/1"]), news: [] });
    expect(keys.put({ "web/1": "?" }).news).toEqual([
      { key: "/services/web/1", reason: "the value is not JSON" },
    ]);
    keys.put({ "web/1": at("b") });
    expect(keys.told).toEqual(["web b:5432 etcd:/services/web/1"]);
    expect(keys.reasons).toEqual([]);
  });

  test("that is deleted is gone with its last good value", () => {
    const keys = services();
    keys.put({ "web/1": at("a") });
    keys.put({ "web/1": undefined });
    expect(keys.reasons).toHaveLength(1);
    expect(keys.remove("web/1").changed).toBe(true);
    expect(keys.told).toEqual([]);
    expect(keys.reasons).toEqual([]);
  });

  test("is shown by what can be shown of it, with a short reason", () => {
    const keys = services();
    keys.put({ "w\u0000\n/1": at("a"), [`${"w".repeat(100_000)}/2`]: at("a") });
    expect(keys.set.unreadable[0]?.key).toBe("/services/w??/1");
    for (const { reason } of keys.set.unreadable) expect(reason.length).toBeLessThan(257);
  });
});

describe("discoverd's cases", () => {
  test("RegisterAndUnregister, Subscribe: there with its key, gone with it", () => {
    const keys = discoverd();
    keys.put({ "echo/10.0.0.7:1234": "null" });
    expect(keys.told).toEqual([
      "echo 10.0.0.7:1234 discoverd:/discover/services/echo/10.0.0.7:1234",
    ]);
    expect(keys.remove("echo/10.0.0.7:1234").changed).toBe(true);
    expect(keys.told).toEqual([]);
  });

  test("TestHeartbeat: the same value again is no change, another one is", () => {
    const keys = discoverd();
    keys.put({ "echo/a:1": '{"x":"1","y":"2"}' });
    expect(keys.put({ "echo/a:1": '{"x":"1","y":"2"}' }).changed).toBe(false);
    expect(keys.put({ "echo/a:1": '{ "y":"2", "x":"1" }' }).changed).toBe(false);
    expect(keys.put({ "echo/a:1": '{"x":"1","y":"3"}' }).changed).toBe(true);
    expect(keys.set.backends[0]?.backend.labels).toEqual({ x: "1", y: "3" });
  });

  test("TestServices, TestNoServices: services keep apart", () => {
    const keys = discoverd();
    expect(keys.told).toEqual([]);
    keys.put({ "one/a:1": "null", "two/a:1": "null", "two/b:1": "null" });
    expect(keys.set.backends.map(({ backend }) => backend.service).toSorted()).toEqual([
      "one",
      "two",
      "two",
    ]);
  });
});

// Few names, so that keys meet: one address under two IDs, two forms of one ID.
const key = fc.constantFrom(
  "web/1",
  "web/1/location",
  "web/2",
  "web/2/location",
  "web/3",
  "api/1",
  "api/1/status/x",
);
const value = fc.constantFrom(at("a"), at("a"), at("b"), at("c"), "?", undefined, "null");
const batch = fc.record({
  puts: fc.dictionary(key, value, { noNullPrototype: true }),
  deletes: fc.uniqueArray(key),
});

/** What each key says, read without regard to what was there before, but for last good values. */
function naive(good: ReadonlyMap<string, string>): readonly string[] {
  const winners = new Map<string, string>();
  for (const [name, text] of good) {
    const instance = name.replace(/\/location$/, "");
    if (name === instance && good.has(`${instance}/location`)) continue;
    const { host } = JSON.parse(text) as { host: string };
    const backend = `${instance.split("/")[0]} ${host}:5432`;
    const other = winners.get(backend);
    if (other === undefined || name < other) winners.set(backend, name);
  }
  return [...winners].map(([backend, name]) => `${backend} etcd:/services/${name}`).toSorted();
}

test("random batches end where reading everything anew ends, and `changed` is true when that differs", () => {
  fc.assert(
    fc.property(fc.array(batch, { maxLength: 12 }), (batches) => {
      const keys = services();
      const good = new Map<string, string>();
      for (const { puts, deletes } of batches) {
        const gone = deletes.filter((name) => !Object.hasOwn(puts, name));
        const before = keys.told;
        const { changed } = keys.batch(puts, gone);
        for (const name of gone) good.delete(name);
        for (const [name, text] of Object.entries(puts)) {
          if (text?.startsWith("{") === true && !name.includes("status")) good.set(name, text);
        }
        expect(keys.told).toEqual(naive(good));
        expect(changed).toBe(before.join() !== keys.told.join());
      }
    }),
    { numRuns: 500 },
  );
});
