// Goal: the copy is written soon after a change, never often, at the end, and a failing disk costs one line.
// Method: a file that only counts, and fails on request; a clock by hand.

import { describe, expect, test } from "vitest";
import { type Copy, CopyFile } from "../../src/etcd/copy-file.ts";
import { CopyKeeper } from "../../src/etcd/copy-keeper.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { recordingLog } from "../support/recording-log.ts";
import { turns } from "../support/until.ts";
import { range } from "./followed-fixture.ts";

class CountingFile extends CopyFile {
  readonly written: number[] = [];
  attempts = 0;
  tookMs = 0;
  failure: Error | undefined;
  readonly #system: FakeSystem;

  constructor(system: FakeSystem) {
    super("/nowhere/copy", range, system);
    this.#system = system;
  }

  override async write(copy: Copy): Promise<void> {
    this.attempts++;
    this.#system.stall(this.tookMs);
    if (this.failure !== undefined) throw this.failure;
    this.written.push(copy.revision);
  }
}

function keep() {
  const system = new FakeSystem();
  const file = new CountingFile(system);
  const log = recordingLog();
  let revision = 0;
  const take = (): Copy => {
    const nothing = { entries: [], good: [], unreadable: [] };
    return { clusterId: "1", revision, headerRevision: revision, ...nothing };
  };
  const keeper = new CopyKeeper({ file, system, log, name: "etcd", take });
  const change = async (): Promise<void> => {
    revision++;
    keeper.changed();
    await turns();
  };
  const pass = async (ms: number): Promise<void> => {
    system.advance(ms);
    await turns();
  };
  return { file, log, keeper, change, pass, system };
}

const noRoom = Object.assign(new Error("ENOSPC: no space left on device, write"), {
  code: "ENOSPC",
});

describe("CopyKeeper", () => {
  test("writes two seconds after a change, what is so then", async () => {
    const { file, change, pass } = keep();
    await change();
    await pass(1_999);
    await change();
    expect(file.written).toEqual([]);
    await pass(1);
    expect(file.written).toEqual([2]);
    await pass(60_000);
    expect(file.written).toEqual([2]);
  });

  test("takes at most a twentieth of the time", async () => {
    const { file, change, pass } = keep();
    file.tookMs = 500;
    await change();
    await pass(2_000);
    await change();
    await pass(9_000);
    expect(file.written).toEqual([1]);
    await pass(1_000);
    expect(file.written).toEqual([1, 2]);
  });

  test("writes at the end what is not written yet, and nothing twice", async () => {
    const { file, keeper, change, pass, system } = keep();
    await change();
    await keeper.close();
    expect(file.written).toEqual([1]);
    await pass(10_000);
    expect(file.written).toEqual([1]);
    expect(system.timerCount).toBe(0);
    await keep().keeper.close();
  });

  test("tells of a disk that fails once, tries on, and tells when it works again", async () => {
    const { file, log, change, pass } = keep();
    file.failure = noRoom;
    await change();
    await pass(2_000);
    for (let n = 0; n < 50; n++) await pass(1_000);
    expect(file.attempts).toBe(6);
    expect(log.entries).toEqual([
      expect.objectContaining({
        level: "warn",
        fields: { name: "etcd", file: "/nowhere/copy", cause: noRoom.message },
      }),
    ]);
    file.failure = undefined;
    await pass(10_000);
    expect(file.written).toEqual([1]);
    expect(log.messages().at(-1)).toBe("the copy on disk is written again");
  });

  test("does not fail at the end", async () => {
    const { file, keeper, change } = keep();
    file.failure = noRoom;
    await change();
    await keeper.close();
    expect(file.written).toEqual([]);
  });
});
