// Goal: what this machine lacks of io_uring is found and said in words; a node then serves by something else, or says why not.
// Method: a kernel with words put into its mouth; and the whole program under seccomp filters, as in containers.

import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { lastErrno, libc } from "../../../src/io/ffi.ts";
import { Enter, Errno, SYS_io_uring_enter } from "../../../src/io/uring/layout.ts";
import { uringMissing } from "../../../src/io/uring/probe.ts";
import type { EnterCall } from "../../../src/io/uring/ring.ts";
import { anywhere, Launched } from "../../support/launched.ts";

const confined = join(import.meta.dirname, "../../support/confined.ts");
const [setup, socketpair] = [425, process.arch === "x64" ? 53 : 199];
const { EPERM, ENOSYS, EINVAL, ENOMEM } = Errno;

const kernel: EnterCall = (ring, submit, complete, flags, at, bytes) => {
  const answer = libc().syscall(SYS_io_uring_enter, ring, submit, complete, flags, at, bytes);
  return answer < 0 ? -lastErrno() : answer;
};

test("nothing is missing here", () => {
  expect(uringMissing()).toBeUndefined();
  expect(uringMissing(kernel)).toBeUndefined();
});

test.for<[string, EnterCall, string]>([
  [
    "waits too short",
    (ring, submit, _complete, flags) => kernel(ring, submit, 0, flags & Enter.GetEvents, 0, 0),
    "io_uring_enter with a time limit: 0 came (there since Linux 5.11)",
  ],
  [
    "knows no time limit",
    (...call) => ((call[3] & Enter.ExtArg) !== 0 ? -EINVAL : kernel(...call)),
    "io_uring_enter with a time limit: EINVAL (there since Linux 5.11)",
  ],
  [
    "takes no entries",
    (...call) => (call[1] > 0 ? -EPERM : kernel(...call)),
    "multishot poll of a socket: nothing came (there since Linux 5.13)",
  ],
])("a kernel that %s", ([, call, reason]) => {
  expect(uringMissing(call)).toBe(reason);
});

/** What `uringMissing` says in a process that is confined. */
async function missingUnder(calls: string): Promise<string> {
  const within = [
    process.execPath,
    confined,
    calls,
    process.execPath,
    "--input-type=module-typescript",
    "-e",
  ];
  const probe = join(import.meta.dirname, "../../../src/io/uring/probe.ts");
  const script = `const { uringMissing } = await import(${JSON.stringify(probe)}); console.log(uringMissing());process.exit()`;
  const program = new Launched([], { within: [...within, script] });
  await program.end();
  return `${program.out}${program.err}`.trim();
}

describe("under a filter", () => {
  test.for<[string, string, RegExp]>([
    [
      "forbids",
      `${setup}=${EPERM}`,
      /^io_uring_setup: EPERM: the kernel or the container forbids it/,
    ],
    ["does not know", `${setup}=${ENOSYS}`, /^io_uring_setup: ENOSYS: the kernel has no io_uring/],
    ["knows too little of", `${setup}=${EINVAL}`, /^io_uring_setup: EINVAL: .* older than 6\.1$/],
    ["has no memory for", `${setup}=${ENOMEM}`, /^io_uring_setup: ENOMEM: no memory for a ring/],
    ["has no sockets to try", `${socketpair}=${EPERM}`, /^socketpair to try a ring on: EPERM$/],
  ])("a system that %s io_uring says so", async ([, calls, reason]) => {
    expect(await missingUnder(calls)).toMatch(reason);
  });

  test.for([
    ["EPERM", EPERM],
    ["ENOSYS", ENOSYS],
  ] as const)(
    "that answers %s, --io auto serves by epoll, and says why once",
    async ([name, errno]) => {
      const node = new Launched([...anywhere, "--io=auto"], {
        within: [process.execPath, confined, `${setup}=${errno}`],
      });
      const { line, httpPort } = await node.ready();
      expect(line).toMatch(/ io=epoll /);
      const told = node.log.filter(({ io }) => io !== undefined);
      expect(told).toMatchObject([
        {
          level: "info",
          io: "epoll",
          reason: expect.stringMatching(`no uring: io_uring_setup: ${name}: `),
        },
      ]);
      expect((await fetch(`http://127.0.0.1:${httpPort}/`)).status).toBe(404);
      expect(await node.stop()).toBe(0);
    },
  );

  test("that forbids io_uring, --io uring ends with the reason and the status of wrong settings", async () => {
    const node = new Launched([...anywhere, "--io=uring"], {
      within: [process.execPath, confined, `${setup}=${EPERM}`],
    });
    expect(await node.end()).toBe(2);
    expect(node.out).toBe("");
    expect(node.err).toMatch(
      /^crosspoint: --io: "uring" does not work here: io_uring_setup: EPERM: .*; --io auto takes what does\n/,
    );
  });
});

test("a node says io=uring, and nothing else about it", async () => {
  const node = new Launched([...anywhere, "--io=auto"]);
  const { line, httpPort, adminPort } = await node.ready();
  expect(line).toMatch(/ io=uring /);
  expect(node.log.filter(({ io }) => io !== undefined)).toEqual([]);
  expect((await fetch(`http://127.0.0.1:${httpPort}/`)).status).toBe(404);
  const metrics = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  expect(metrics).toMatch(/^crosspoint_info\{.*io="uring".*\} 1$/m);
  expect(await node.stop()).toBe(0);
});
