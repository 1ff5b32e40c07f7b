// slowhttptest, the program: what its modes are told here, how it runs, what it says.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

/** It ends by itself after its seconds, at most so much later, in ms. */
const lateMsMax = 15_000;

export const slowModes = ["slow heads", "slow bodies", "slow reading", "ranges"] as const;
export type SlowMode = (typeof slowModes)[number];

/** What each mode is told besides how many, how fast, how long. */
const modeFlags: Readonly<Record<SlowMode, readonly string[]>> = {
  "slow heads": ["-H", "-i", "3", "-x", "24"],
  "slow bodies": ["-B", "-i", "3", "-x", "24", "-s", "100000"],
  "slow reading": ["-X", "-n", "3", "-z", "32"],
  ranges: ["-R", "-a", "1", "-b", "1500"],
};
/** The router ends these after so many seconds (requestHeadMsMax; an answer at once), and others must take their place. */
const lifeSeconds: Partial<Record<SlowMode, number>> = { "slow heads": 10, ranges: 1 };

export interface SlowAttack {
  readonly mode: SlowMode;
  readonly url: string;
  readonly seconds: number;
  /** Open at a time; a tenth more are opened, as some end early. */
  readonly connections: number;
  /** Called twice a second. */
  readonly look: () => Promise<void>;
}

export interface SlowAttackFigures {
  /** What its own probe saw last. */
  readonly available: string;
}

/** What stands in the way of running it, and what to do; undefined: nothing. */
export function slowhttptestMissing(): string | undefined {
  if (spawnSync("slowhttptest", ["-h"]).error === undefined) return undefined;
  return (
    "slowhttptest is not installed: apt-get install slowhttptest (Debian, Ubuntu), brew install slowhttptest, " +
    "or https://github.com/shekyan/slowhttptest"
  );
}

/** Runs to its end, at the lowest priority: it stands for machines that have processors of their own. */
export async function attackSlowly(attack: SlowAttack): Promise<SlowAttackFigures> {
  const program = spawn("nice", ["-n", "19", "slowhttptest", ...flagsOf(attack)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const end = (): boolean => program.kill("SIGKILL");
  process.on("exit", end);
  const ended = once(program, "close");
  const timer = setTimeout(end, attack.seconds * 1000 + lateMsMax);
  let said = "";
  for (const stream of [program.stdout, program.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (said += text));
  try {
    while (isAlive(program)) {
      await Promise.race([ended, sleep(500)]);
      await attack.look();
    }
  } finally {
    clearTimeout(timer);
    process.off("exit", end);
    end();
  }
  return readFigures(said);
}

function flagsOf({ mode, url, seconds, connections }: SlowAttack): string[] {
  const life = lifeSeconds[mode];
  const more = Math.ceil(connections * 1.1);
  // Those that stay are all there after a quarter of the time.
  const perSecond = Math.ceil(life === undefined ? (more * 4) / seconds : more / life);
  const total = life === undefined ? more : Math.ceil((more * seconds) / life);
  const numbers = { "-c": total, "-r": perSecond, "-l": seconds, "-p": 5 };
  return [...modeFlags[mode], ...Object.entries(numbers).flat().map(String), "-u", url];
}

/** It speaks in colours, and repeats itself. */
function readFigures(said: string): SlowAttackFigures {
  // oxlint-disable-next-line no-control-regex -- the colours begin with ESC
  const plain = said.replaceAll(/\u001b\[[0-9;]*[A-Za-z]/g, "");
  const available = [...plain.matchAll(/^service available: +(\w+)/gm)].at(-1)?.[1];
  return { available: available ?? `not told: ${plain.slice(-300)}` };
}

function isAlive(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}
