// Goal: sessions are counted once each way, asked to drain, waited for, and cut.

import { expect, test } from "vitest";
import { Counter, zeroCounters } from "../../src/telemetry/counters.ts";
import { type Session, Sessions } from "../../src/worker/sessions.ts";
import { turns } from "../support/until.ts";

function made() {
  const counters = zeroCounters();
  const sessions = new Sessions(counters);
  const log: string[] = [];
  const session = (name: string): Session => {
    const self: Session = {
      waitingSinceMs: Number.POSITIVE_INFINITY,
      giveWay() {},
      drain: () => log.push(`drain ${name}`),
      destroy: () => {
        log.push(`destroy ${name}`);
        sessions.remove(self);
      },
    };
    sessions.add(self);
    return self;
  };
  return { counters, sessions, session, log };
}

test("sessions are counted, and removing one twice counts once", () => {
  const { counters, sessions, session } = made();
  const first = session("a");
  session("b");
  sessions.remove(first);
  sessions.remove(first);
  expect(counters[Counter.connectionsOpen]).toBe(1);
  expect(counters[Counter.connectionsAccepted]).toBe(2);
  expect(sessions.count).toBe(1);
});

test("drain asks each, and is over when the last is gone", async () => {
  const { sessions, session, log } = made();
  const [first, second] = [session("a"), session("b")];
  let over = false;
  const drained = sessions.drain().then(() => (over = true));
  expect(log).toEqual(["drain a", "drain b"]);
  sessions.remove(first);
  await turns(1);
  expect(over).toBe(false);
  sessions.remove(second);
  await drained;
});

test("drain with nobody there is over at once", async () => {
  await made().sessions.drain();
});

test("what is cut is counted, though it leaves while it is cut", () => {
  const { counters, sessions, session, log } = made();
  for (const name of ["a", "b", "c"]) session(name);
  expect(sessions.destroyAll()).toBe(3);
  expect(log).toEqual(["destroy a", "destroy b", "destroy c"]);
  expect(counters[Counter.connectionsOpen]).toBe(0);
  expect(sessions.destroyAll()).toBe(0);
});
