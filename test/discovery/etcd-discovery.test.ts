// Goal: listeners hear the whole set when it is complete and whenever it changes, and operators hear what is
// wrong in words, once.
// Method: a followed prefix by hand.

import { describe, expect, test } from "vitest";
import type { DiscoveredBackend } from "../../src/discovery/discovery.ts";
import { EtcdDiscovery } from "../../src/discovery/etcd-discovery.ts";
import { KeySet } from "../../src/discovery/key-set.ts";
import { serviceKeys } from "../../src/discovery/service-keys.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { FollowedByHand } from "../support/followed-by-hand.ts";
import { recordingLog } from "../support/recording-log.ts";
import { turns } from "../support/until.ts";

const never = new AbortController().signal;
const a = '{"host":"a","port":1}';
const b = '{"host":"b","port":1}';

function opened() {
  let followed: FollowedByHand | undefined;
  let released = 0;
  const system = new FakeSystem();
  const log = recordingLog();
  const discovery = new EtcdDiscovery({
    name: "etcd:http://10.0.0.5:2379/services/",
    keys: new KeySet({ kind: "etcd", prefix: "/services/", form: serviceKeys }),
    system,
    log,
    follow: (owner) => (followed = new FollowedByHand(owner)),
    release: async () => void released++,
  });
  const sets: string[] = [];
  const listener = (backends: readonly DiscoveredBackend[]): void => {
    sets.push(backends.map(({ backend }) => backend.address).join(" "));
  };
  return { discovery, followed: followed!, system, log, sets, listener, released: () => released };
}

async function begun() {
  const all = opened();
  all.followed.begin();
  await all.discovery.started(never);
  return all;
}

describe("listeners", () => {
  test("hear nothing before the first set is complete, then all of it, then every change (TestWatch)", async () => {
    const { discovery, followed, sets, listener } = opened();
    discovery.subscribe(listener);
    followed.batch({ "/services/web/1": a });
    followed.batch({ "/services/web/2": b });
    await turns();
    expect(sets).toEqual([]);
    followed.begin();
    await discovery.started(never);
    expect(sets).toEqual(["a:1 b:1"]);
    followed.batch({}, ["/services/web/1"]);
    expect(sets).toEqual(["a:1 b:1", "b:1"]);
  });

  test("are told an empty first set too", async () => {
    const { discovery, followed, sets, listener } = opened();
    discovery.subscribe(listener);
    followed.begin();
    await discovery.started(never);
    expect(sets).toEqual([""]);
  });

  test("that come later are told at once; those that left are not told any more", async () => {
    const { discovery, followed, sets, listener } = await begun();
    followed.batch({ "/services/web/1": a });
    const leave = discovery.subscribe(listener);
    expect(sets).toEqual(["a:1"]);
    leave();
    followed.batch({ "/services/web/2": b });
    expect(sets).toHaveLength(1);
  });

  test("do not hear of what changes no backend", async () => {
    const { discovery, followed, sets, listener } = await begun();
    followed.batch({ "/services/web/1": a });
    discovery.subscribe(listener);
    followed.batch({ "/services/web/1": a });
    followed.batch({ "/services/web/1/status/current": "started" }, ["/services/none/1"]);
    followed.batch({ "/services/web/1": "?" });
    expect(sets).toHaveLength(1);
  });
});

describe("the start", () => {
  test("may be given up; it goes on by itself", async () => {
    const { discovery, followed, sets, listener } = opened();
    discovery.subscribe(listener);
    const giveUp = new AbortController();
    const waited = discovery.started(giveUp.signal);
    giveUp.abort();
    await waited;
    await discovery.started(giveUp.signal);
    followed.batch({ "/services/web/1": a });
    followed.begin();
    await turns();
    expect(sets).toEqual(["a:1"]);
  });

  test("that never comes does not keep it from closing", async () => {
    const { discovery, followed, system, sets, listener, released } = opened();
    discovery.subscribe(listener);
    const waited = discovery.started(never);
    await discovery.close();
    await waited;
    await turns();
    expect(system.timerCount).toBe(0);
    expect({ closed: followed.closed, released: released(), sets }).toEqual({
      closed: true,
      released: 1,
      sets: [],
    });
  });
});

describe("trouble", () => {
  const away = { kind: "away", sinceMs: 0, cause: "connection refused", fromCopy: false } as const;

  test("is told in words while it lasts, and the last set is kept", async () => {
    const { discovery, followed, sets, listener } = await begun();
    followed.batch({ "/services/web/1": a });
    discovery.subscribe(listener);
    expect(discovery.trouble).toBeUndefined();
    followed.become(away);
    expect(discovery.trouble).toBe("connection refused");
    followed.become({ kind: "current" });
    expect(discovery.trouble).toBeUndefined();
    expect(sets).toEqual(["a:1"]);
  });

  test("at the start has its cause as soon as there is one", () => {
    const { discovery, followed } = opened();
    expect(discovery.trouble).toBeUndefined();
    followed.become({ kind: "starting", cause: "wrong password" });
    expect(discovery.trouble).toBe("not read yet: wrong password");
  });

  test("of a source that seems to have lost its past says what it would do, and how to take it", async () => {
    const { discovery, followed } = await begun();
    expect(await discovery.accept()).toBe(false);
    const counts = { removed: 3, changed: 2, added: 1 };
    const why = { finding: "wiped", detail: "no key is left" } as const;
    followed.become({ kind: "held", sinceMs: 0, ...why, ...counts });
    expect(discovery.trouble).toBe(
      "etcd:http://10.0.0.5:2379/services/ seems wiped: no key is left; it would remove 3, change 2 and add 1 keys: " +
        "`crosspoint store accept` takes it",
    );
    expect(await discovery.accept()).toBe(true);
  });
});

describe("the log", () => {
  test("names what cannot be read, once, and not without end", async () => {
    const { discovery, followed, log } = await begun();
    const bad = Object.fromEntries(
      Array.from({ length: 500 }, (_, i) => [`/services/web/${i}`, "?"]),
    );
    expect(followed.batch(bad)).toHaveLength(500);
    expect(followed.batch(bad)).toHaveLength(500);
    expect(discovery.unreadable).toHaveLength(500);
    expect(log.entries).toHaveLength(1);
    expect(log.entries[0]?.fields).toMatchObject({ count: 500 });
    expect(log.entries[0]?.fields["entries"]).toHaveLength(10);
  });

  test("counts backends at most once a second", async () => {
    const { followed, log, system } = await begun();
    for (let i = 0; i < 50; i++) {
      followed.batch(
        i % 2 === 0 ? { "/services/web/1": a } : {},
        i % 2 === 0 ? [] : ["/services/web/1"],
      );
      system.advance(100);
    }
    const lines = log.entries.filter(({ message }) => message === "backends discovered");
    expect(lines.length).toBeGreaterThan(3);
    expect(lines.length).toBeLessThan(6);
  });
});
