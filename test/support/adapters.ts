// The adapters of the Io port that tests run over, and which of them the workers of tests use: the one place that
// CROSSPOINT_TEST_IO=net|epoll|uring|auto is read. A new adapter is one line in `known`.

import type { IoName } from "../../src/channel/messages.ts";
import type { Config } from "../../src/config.ts";
import { parseIo } from "../../src/config-values.ts";
import { DirectIo } from "../../src/io/direct/direct-io.ts";
import type { Driver } from "../../src/io/direct/driver.ts";
import { TurnLoop } from "../../src/io/direct/turn-loop.ts";
import { EpollDriver } from "../../src/io/epoll/epoll-driver.ts";
import { ffiUnavailableReason } from "../../src/io/ffi.ts";
import type { Io } from "../../src/io/io.ts";
import { NetIo } from "../../src/io/net/net-io.ts";
import { openUringDriver } from "../../src/io/uring/uring-driver.ts";
import { realSystem } from "../../src/system.ts";

export interface AdapterOptions {
  readonly receiveBytes: number;
  readonly sendQueueBytesHigh: number;
  readonly unsentBytesMax: number | undefined;
  readonly onAcceptTrouble: (message: string) => void;
}

export interface OpenAdapter {
  readonly io: Io;
  /** Gives back what it holds; its streams are gone by then. */
  readonly close: () => void;
}

export interface Adapter {
  readonly name: IoName;
  /** What this machine lacks for it; undefined: nothing. */
  readonly lacks: () => string | undefined;
  readonly open: (options: AdapterOptions) => OpenAdapter;
}

/** Nobody asks which descriptors a test holds. */
const ledger = { hold() {}, drop() {}, holdMapping() {}, dropMapping() {} };

/** In the order in which a node prefers them. */
const known: readonly Adapter[] = [
  { name: "uring", lacks: ringLack, open: openDirect(() => openUringDriver({ ledger })) },
  { name: "epoll", lacks: ffiUnavailableReason, open: openDirect(() => new EpollDriver(ledger)) },
  { name: "net", lacks: () => undefined, open: openNet },
];

/** What CROSSPOINT_TEST_IO asks for; "auto" leaves the choice to the node, as --io does. */
export const askedAdapter: string = process.env["CROSSPOINT_TEST_IO"] ?? "auto";

/** Those of this machine; with CROSSPOINT_TEST_IO the one it names, whether this machine has it or not. */
export const adapters: readonly Adapter[] = known.filter(({ name, lacks }) =>
  askedAdapter === "auto" ? lacks() === undefined : name === askedAdapter,
);

/** What the workers of tests use: the first that there is. */
export function testedAdapter(): IoName {
  const [first] = adapters;
  if (first === undefined) {
    const names = known.map(({ name }) => name).join(", ");
    throw new Error(`CROSSPOINT_TEST_IO=${askedAdapter} is none of auto, ${names}`);
  }
  return first.name;
}

/** As --io of a node. */
export function askedIo(): Config["io"] {
  return parseIo(askedAdapter, "CROSSPOINT_TEST_IO");
}

export function adapterNamed(name: string): Adapter {
  const found = known.find((adapter) => adapter.name === name);
  if (found === undefined) throw new Error(`no adapter is called ${name}`);
  return found;
}

const after = (delayMs: number, action: () => void): (() => void) =>
  realSystem.after(delayMs, action);

/** Why the kernel gives no ring. */
function ringLack(): string | undefined {
  try {
    openUringDriver({ ledger }).close();
    return undefined;
  } catch (error) {
    return String(error);
  }
}

function openNet(options: AdapterOptions): OpenAdapter {
  const atTurnEnd = (action: () => void): void => realSystem.atTurnEnd(action);
  return { io: new NetIo({ ...options, after, atTurnEnd }), close() {} };
}

/** The thread's other timers are the test's: it waits a ms at most. */
function openDirect(driverOf: () => Driver): Adapter["open"] {
  return (options) => {
    const loop = new TurnLoop({
      driver: driverOf(),
      timerInMs: () => 1,
      waitMsMax: 1,
      sharesThread: true,
    });
    return { io: new DirectIo({ ...options, loop, ledger, after }), close: () => loop.close() };
  };
}
