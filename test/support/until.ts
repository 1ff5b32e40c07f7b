// Waiting without sleeping: turn by turn of the event loop, until something is so.

import { setImmediate as nextTurn } from "node:timers/promises";

/** A wait that lasts longer than this has failed, in ms. */
const waitMsMax = 8_000;

/** Resolves as soon as `holds`; fails with what was waited for. */
export async function until(
  holds: () => boolean,
  what: string | (() => string),
  deadlineMs: number = waitMsMax,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!holds()) {
    if (performance.now() > end) {
      throw new Error(`waited ${deadlineMs} ms for ${typeof what === "string" ? what : what()}`);
    }
    await nextTurn();
  }
}

/** Lets everything that is ready run: `count` turns of the event loop. */
export async function turns(count = 3): Promise<void> {
  for (let i = 0; i < count; i++) await nextTurn();
}
