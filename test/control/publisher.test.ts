// Goal: the publisher sends each worker what it needs, and never two things at once.
// Method: a publisher, the answers of imaginary workers, and what it wants to send next. The first table of a
// publisher is at position 1, whatever its revision.

import { describe, expect, test } from "vitest";
import { Publisher, type Send } from "../../src/control/publisher.ts";
import type { Position } from "../../src/model/position.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { changeSetOf, putRoute, removeRoute } from "../support/table-fixtures.ts";

const rev = parseRevision;
const pos = (position: number): Position => position as Position;
const setAt = (revision: number) =>
  changeSetOf(revision, putRoute(`r${revision}`, `r${revision}.example.com`));

function publisherAt(revision: number, logChangesMax = 100): Publisher {
  return new Publisher({ revision: rev(revision), logChangesMax });
}

function polled(publisher: Publisher): Send[] {
  const sends: Send[] = [];
  for (let send = publisher.pollSend(); send !== undefined; send = publisher.pollSend()) {
    sends.push(send);
  }
  return sends;
}

/** A publisher whose workers all serve its revision. */
function settled(revision: number, ...workers: readonly number[]): Publisher {
  const publisher = publisherAt(revision);
  for (const worker of workers) publisher.addWorker(worker);
  for (const send of polled(publisher)) publisher.ack(send.worker, send.position);
  return publisher;
}

const summary = (sends: readonly Send[]): string[] =>
  sends.map((send) =>
    send.kind === "snapshot"
      ? `${send.worker} snapshot ${send.position} r${send.revision}`
      : `${send.worker} delta ${send.base}-${send.position} r${send.revision} of ${send.changes.length}`,
  );

describe("Publisher", () => {
  test("a new worker gets a snapshot, also of an empty table at revision 0", () => {
    const publisher = publisherAt(0);
    publisher.addWorker(1);
    expect(summary(polled(publisher))).toEqual(["1 snapshot 1 r0"]);
    expect(publisher.served(rev(0))).toBe(false);
    expect(publisher.ack(1, pos(1))).toBe(true);
    expect(publisher.served(rev(0))).toBe(true);
    expect(polled(publisher)).toEqual([]);
  });

  test("a change goes to every worker as a delta on what it has", () => {
    const publisher = settled(4, 1, 2);
    publisher.publish(setAt(5));
    expect(summary(polled(publisher))).toEqual(["1 delta 1-2 r5 of 1", "2 delta 1-2 r5 of 1"]);
  });

  test("nothing more is sent to a worker that owes an answer, and then only the newest", () => {
    const publisher = settled(4, 1, 2);
    publisher.publish(setAt(5));
    polled(publisher);
    publisher.publish(setAt(6));
    publisher.publish(setAt(9));
    expect(polled(publisher)).toEqual([]);
    publisher.ack(1, pos(2));
    expect(summary(polled(publisher))).toEqual(["1 delta 2-4 r9 of 2"]);
  });

  test("a merged delta names each entry once, as it is in the end", () => {
    const publisher = settled(1, 1);
    publisher.publish(changeSetOf(2, putRoute("a", "x.example.com")));
    polled(publisher);
    publisher.publish(changeSetOf(3, removeRoute("a")));
    publisher.publish(changeSetOf(4, putRoute("b", "x.example.com")));
    publisher.publish(
      changeSetOf(5, putRoute("b", "y.example.com"), putRoute("a", "x.example.com")),
    );
    publisher.ack(1, pos(2));
    expect(polled(publisher)).toMatchObject([
      {
        base: 2,
        position: 5,
        revision: 5,
        changes: [putRoute("b", "y.example.com"), putRoute("a", "x.example.com")],
      },
    ]);
  });

  test("a worker behind the log's end gets a snapshot", () => {
    const publisher = publisherAt(1, 4);
    publisher.addWorker(1);
    polled(publisher);
    publisher.ack(1, pos(1));
    publisher.publish(setAt(2));
    polled(publisher);
    for (let revision = 3; revision < 9; revision++) publisher.publish(setAt(revision));
    publisher.ack(1, pos(2));
    expect(summary(polled(publisher))).toEqual(["1 snapshot 8 r8"]);
  });

  test("a delta that was refused is followed by a snapshot, once", () => {
    const publisher = settled(4, 1);
    publisher.publish(setAt(5));
    polled(publisher);
    expect(publisher.nack(1, pos(2), "does not fit")).toBe(true);
    expect(publisher.lagging(rev(5))).toEqual([
      { worker: 1, servedRevision: 4, refusal: undefined },
    ]);
    expect(summary(polled(publisher))).toEqual(["1 snapshot 2 r5"]);
    publisher.nack(1, pos(2), "still not");
    expect(polled(publisher)).toEqual([]);
    expect(publisher.lagging(rev(5))).toEqual([
      { worker: 1, servedRevision: 4, refusal: { position: 2, revision: 5, reason: "still not" } },
    ]);
    // It never refused revision 4, and serves it.
    expect(publisher.served(rev(4))).toBe(true);
  });

  test("after a refusal the next change brings a snapshot, and with it peace", () => {
    const publisher = settled(4, 1);
    publisher.publish(setAt(5));
    polled(publisher);
    publisher.nack(1, pos(2), "no");
    polled(publisher);
    publisher.nack(1, pos(2), "no");
    publisher.publish(setAt(6));
    expect(publisher.lagging(rev(5))[0]?.refusal).toBeUndefined();
    expect(summary(polled(publisher))).toEqual(["1 snapshot 3 r6"]);
    publisher.ack(1, pos(3));
    expect(publisher.served(rev(6))).toBe(true);
    expect(publisher.lastNackOf(1)).toEqual({ position: 2, revision: 5, reason: "no" });
    publisher.publish(setAt(7));
    expect(summary(polled(publisher))).toEqual(["1 delta 3-4 r7 of 1"]);
  });

  test("a touched worker gets a delta without changes", () => {
    const publisher = settled(4, 1, 2);
    publisher.touch(2);
    expect(summary(polled(publisher))).toEqual(["2 delta 1-1 r4 of 0"]);
    publisher.ack(2, pos(1));
    expect(polled(publisher)).toEqual([]);
  });

  test("a touch that was refused is followed by a snapshot", () => {
    const publisher = settled(4, 1);
    publisher.touch(1);
    polled(publisher);
    publisher.nack(1, pos(1), "cannot listen");
    expect(summary(polled(publisher))).toEqual(["1 snapshot 1 r4"]);
  });

  test("a touch while an answer is owed is not forgotten", () => {
    const publisher = settled(4, 1);
    publisher.publish(setAt(5));
    polled(publisher);
    publisher.touch(1);
    publisher.ack(1, pos(2));
    expect(summary(polled(publisher))).toEqual(["1 delta 2-2 r5 of 0"]);
  });

  test.for<[string, (publisher: Publisher) => boolean]>([
    ["from a worker that is gone", (publisher) => publisher.ack(7, pos(2))],
    ["for a position that was not sent", (publisher) => publisher.ack(1, pos(5))],
    ["that refuses a position that was not sent", (publisher) => publisher.nack(1, pos(1), "no")],
    [
      "that comes a second time",
      (publisher) => (publisher.ack(2, pos(2)), publisher.ack(2, pos(2))),
    ],
  ])("ignores an answer %s", ([, answer]) => {
    const publisher = settled(4, 1, 2);
    publisher.publish(setAt(5));
    polled(publisher);
    expect(answer(publisher)).toBe(false);
    expect(publisher.servedBy(1)).toBe(4);
  });

  test("a fleet without workers serves nothing", () => {
    const publisher = settled(4, 1);
    publisher.removeWorker(1);
    expect(publisher.served(rev(0))).toBe(false);
    expect(publisher.servedByAll()).toBe(0);
  });

  test("the slowest worker decides what all serve", () => {
    const publisher = settled(4, 1, 2);
    publisher.publish(setAt(5));
    polled(publisher);
    publisher.ack(1, pos(2));
    expect(publisher.servedByAll()).toBe(4);
    expect(publisher.lagging(rev(5)).map((lag) => lag.worker)).toEqual([2]);
    publisher.addWorker(3);
    expect(publisher.servedByAll()).toBe(0);
  });

  test.for<[string, (publisher: Publisher) => void]>([
    ["a revision that goes back", (publisher) => publisher.publish(setAt(3))],
    ["a worker id that is in use", (publisher) => publisher.addWorker(1)],
  ])("refuses %s", ([, act]) => {
    expect(() => act(settled(4, 1))).toThrow("assertion failed");
  });

  test("ten thousand changes in a row are ten thousand small deltas, however full the log is", () => {
    const publisher = settled(1, 1);
    let at = pos(1);
    for (let revision = 2; revision < 10_002; revision++) {
      publisher.publish(setAt(revision));
      const [send] = polled(publisher);
      expect(send).toMatchObject({ kind: "delta", base: at });
      at = send!.position;
      publisher.ack(1, at);
    }
    expect(publisher.served(rev(10_001))).toBe(true);
  });

  test("changes without an entry do not fill the log for ever", () => {
    const publisher = publisherAt(1, 4);
    publisher.addWorker(1);
    polled(publisher);
    publisher.ack(1, pos(1));
    publisher.publish(changeSetOf(2));
    polled(publisher);
    for (let revision = 3; revision < 9; revision++) publisher.publish(changeSetOf(revision));
    publisher.ack(1, pos(2));
    expect(summary(polled(publisher))).toEqual(["1 snapshot 8 r8"]);
  });
});

describe("several tables of one revision", () => {
  test("each have their place: all of them reach the workers, one after the other", () => {
    const publisher = settled(4, 1);
    publisher.publish(setAt(4));
    expect(summary(polled(publisher))).toEqual(["1 delta 1-2 r4 of 1"]);
    publisher.publish(setAt(4));
    publisher.publish(setAt(5));
    expect(publisher.ack(1, pos(1)), "the answer to an earlier table of that revision").toBe(false);
    expect(publisher.settled()).toBe(false);
    expect(publisher.ack(1, pos(2))).toBe(true);
    expect(summary(polled(publisher))).toEqual(["1 delta 2-4 r5 of 2"]);
    publisher.ack(1, pos(4));
    expect(publisher.settled()).toBe(true);
  });

  test("a revision is served once any of them is, also when a later one was refused", () => {
    const publisher = settled(3, 1);
    publisher.publish(setAt(4));
    polled(publisher);
    publisher.publish(setAt(4));
    publisher.ack(1, pos(2));
    expect([publisher.served(rev(4)), publisher.settled()]).toEqual([true, false]);
    polled(publisher);
    publisher.nack(1, pos(3), "no");
    polled(publisher);
    publisher.nack(1, pos(3), "no");
    expect(publisher.served(rev(4))).toBe(true);
    expect(publisher.lagging(rev(4))).toEqual([]);
    expect(publisher.servedByAll()).toBe(4);
  });
});

describe("revisions that are counted anew", () => {
  test("bring everything to every worker, and what was served before counts for nothing", () => {
    const publisher = settled(100, 1, 2);
    publisher.startAnew(rev(7));
    expect([publisher.latest, publisher.served(rev(7)), publisher.servedByAll()]).toEqual([
      { position: 2, revision: 7 },
      false,
      0,
    ]);
    expect(summary(polled(publisher))).toEqual(["1 snapshot 2 r7", "2 snapshot 2 r7"]);
    publisher.ack(1, pos(2));
    expect(publisher.lagging(rev(7))).toEqual([
      { worker: 2, servedRevision: 100, refusal: undefined },
    ]);
    publisher.ack(2, pos(2));
    expect(publisher.served(rev(7))).toBe(true);
    publisher.publish(setAt(8));
    expect(summary(polled(publisher))[0]).toBe("1 delta 2-3 r8 of 1");
  });

  test("a refusal of before is no refusal of a small revision now", () => {
    const publisher = settled(100, 1);
    publisher.publish(setAt(101));
    polled(publisher);
    publisher.nack(1, pos(2), "no");
    polled(publisher);
    publisher.nack(1, pos(2), "no");
    publisher.startAnew(rev(7));
    expect(publisher.lagging(rev(7))[0]?.refusal).toBeUndefined();
    expect(summary(polled(publisher))).toEqual(["1 snapshot 3 r7"]);
  });
});
