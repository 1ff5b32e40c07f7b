// Goal: what the outside world gives is what the port promises, and signals count as people mean them.
// Method: the real system; signals that this process sends to itself, one set of listeners at a time.

import { fork } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { realSystem, sleep } from "../src/system.ts";
import { temporaryDirectory } from "./store/temporary-directory.ts";
import { FakeSystem } from "./support/fake-system.ts";

test("clocks: one for people, one that never goes back, one that threads share", () => {
  const [wall, monotonic, heartbeat] = [
    realSystem.wallMs(),
    realSystem.monotonicMs(),
    realSystem.heartbeatMs(),
  ];
  expect(Math.abs(wall - Date.now())).toBeLessThan(1_000);
  expect(realSystem.monotonicMs()).toBeGreaterThanOrEqual(monotonic);
  expect(Math.abs(realSystem.heartbeatMs() - heartbeat)).toBeLessThan(1_000);
  const random = realSystem.random();
  expect(random >= 0 && random < 1).toBe(true);
});

test("timers fire after their time, and not when they are cancelled", async () => {
  const fired: string[] = [];
  const cancel = realSystem.after(1, () => fired.push("cancelled"));
  cancel();
  let times = 0;
  await new Promise<void>((resolve) => {
    const end = realSystem.every(2, () => {
      if (++times < 3) return;
      end();
      resolve();
    });
  });
  await new Promise<void>((resolve) => void realSystem.after(10, resolve));
  expect(fired).toEqual([]);
  expect(times).toBe(3);
});

describe("sleep", () => {
  test("ends after its time, or at once when its signal aborts, and leaves nothing behind", async () => {
    const system = new FakeSystem();
    const ended: string[] = [];
    const leaving = new AbortController();
    const sleeps = [
      sleep(system, 100).then(() => ended.push("time")),
      sleep(system, 1_000, leaving.signal).then(() => ended.push("abort")),
      sleep(system, 1_000, AbortSignal.abort()).then(() => ended.push("aborted before")),
    ];
    await sleeps[2];
    system.advance(100);
    await sleeps[0];
    leaving.abort();
    await Promise.all(sleeps);
    expect(ended).toEqual(["aborted before", "time", "abort"]);
    expect(system.timerCount).toBe(0);
  });
});

describe("signals", () => {
  /** A process that says what it heard. */
  async function listener(): Promise<{
    heard: string[];
    send: (signal: NodeJS.Signals) => void;
    next: () => Promise<void>;
  }> {
    const script = join(temporaryDirectory(), "listener.mjs");
    const module = new URL("../src/system.ts", import.meta.url).href;
    writeFileSync(
      script,
      `import { signals } from ${JSON.stringify(module)};
       const ends = signals();
       ends.asked.then((signal) => process.send("asked " + signal));
       ends.insisted.then((status) => process.send("insisted " + status));
       ends.onHangUp(() => process.send("hang-up"));
       process.on("message", () => process.send("pong"));
       process.send("listening");`,
    );
    const child = fork(script, { execArgv: [] });
    onTestFinished(() => void child.kill("SIGKILL"));
    const heard: string[] = [];
    child.on("message", (text) => heard.push(text as string));
    await once(child, "message");
    heard.length = 0;
    return {
      heard,
      send: (signal) => void child.kill(signal),
      next: async () => void (await once(child, "message")),
    };
  }
  const halfASecond = (): Promise<void> => new Promise((passed) => setTimeout(passed, 520));

  test.for([
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const)("%s asks; again after half a second it insists: %i", async ([signal, status]) => {
    const { heard, send, next } = await listener();
    send(signal);
    await next();
    expect(heard).toEqual([`asked ${signal}`]);
    await halfASecond();
    send(signal);
    await next();
    expect(heard[1]).toBe(`insisted ${status}`);
  });

  test("two in a millisecond are one wish; the last one decides how it insists", async () => {
    const { heard, send, next } = await listener();
    send("SIGTERM");
    send("SIGTERM");
    await next();
    await halfASecond();
    expect(heard).toEqual(["asked SIGTERM"]);
    send("SIGINT");
    await next();
    expect(heard[1]).toBe("insisted 130");
  });

  test("SIGHUP asks for something else, as often as it comes", async () => {
    const { heard, send, next } = await listener();
    send("SIGHUP");
    await next();
    send("SIGHUP");
    await next();
    expect(heard).toEqual(["hang-up", "hang-up"]);
  });
});
