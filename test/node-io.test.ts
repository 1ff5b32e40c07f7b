// Goal: a node takes the best way of input and output that there is, and says so when it is not the best of all.
// Method: machines that lack one thing or another.

import { describe, expect, test } from "vitest";
import { chooseIo, type IoName, type Missing } from "../src/io/choose-io.ts";
import { nodeIo } from "../src/node-io.ts";
import { recordingLog } from "./support/recording-log.ts";

/** A machine without these. */
const without =
  (...lacks: IoName[]): Missing =>
  (io) =>
    lacks.includes(io) ? `this machine has no ${io}` : undefined;

describe("auto", () => {
  test.for<[IoName, IoName[], string]>([
    ["uring", [], ""],
    ["uring", ["epoll", "net"], ""],
    ["epoll", ["uring"], "no uring: this machine has no uring"],
    [
      "net",
      ["uring", "epoll"],
      "no uring: this machine has no uring; no epoll: this machine has no epoll",
    ],
  ])("takes %s without %o", ([io, lacks, instead]) => {
    expect(chooseIo("auto", without(...lacks))).toEqual({ kind: "chosen", io, instead });
  });

  test("takes io_uring here", () => {
    expect(chooseIo("auto")).toEqual({ kind: "chosen", io: "uring", instead: "" });
  });

  test("says once why it is not the best", () => {
    const log = recordingLog();
    expect(nodeIo("auto", log, without("uring"))).toBe("epoll");
    expect(log.entries).toEqual([
      {
        level: "info",
        message: "the fastest input and output is not to be had here",
        fields: { io: "epoll", reason: "no uring: this machine has no uring" },
      },
    ]);
  });
});

describe("a name", () => {
  test.for<IoName>(["uring", "epoll", "net"])("%s is taken here, without a word", (io) => {
    const log = recordingLog();
    expect(nodeIo(io, log)).toBe(io);
    expect(log.entries).toEqual([]);
  });

  test.for<IoName>(["uring", "epoll"])("%s is refused with the reason where it is not", (io) => {
    const log = recordingLog();
    expect(() => nodeIo(io, log, without(io))).toThrow(
      expect.objectContaining({
        code: "invalid-argument",
        message: `--io: "${io}" does not work here: this machine has no ${io}; --io auto takes what does`,
      }),
    );
    expect(log.entries).toEqual([]);
  });
});
