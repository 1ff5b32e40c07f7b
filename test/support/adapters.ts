// The adapters of the Io port that tests run over, and which of them the workers of tests use: the one place that
// CROSSPOINT_TEST_IO=net|epoll|uring|auto is read. A new adapter is one line in `known`.

import type { WorkerSettings } from "../../src/channel/messages.ts";
import type { Io } from "../../src/io/io.ts";
import { NetIo } from "../../src/io/net/net-io.ts";
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
  close(): void;
}

export interface Adapter {
  readonly name: WorkerSettings["io"];
  /** What this machine lacks for it; undefined: nothing. */
  readonly lacks: () => string | undefined;
  readonly open: (options: AdapterOptions) => OpenAdapter;
}

const known: readonly Adapter[] = [{ name: "net", lacks: () => undefined, open: openNet }];

/** What CROSSPOINT_TEST_IO asks for; "auto" leaves the choice to the node, as --io does. */
export const askedAdapter: string = process.env["CROSSPOINT_TEST_IO"] ?? "auto";

/** Those of this machine; with CROSSPOINT_TEST_IO the one it names, whether this machine has it or not. */
export const adapters: readonly Adapter[] = known.filter(({ name, lacks }) =>
  askedAdapter === "auto" ? lacks() === undefined : name === askedAdapter,
);

/** What the workers of tests use: the first that there is. */
export function testedAdapter(): WorkerSettings["io"] {
  const [first] = adapters;
  if (first === undefined) {
    const names = known.map(({ name }) => name).join(", ");
    throw new Error(`CROSSPOINT_TEST_IO=${askedAdapter} is none of auto, ${names}`);
  }
  return first.name;
}

export function adapterNamed(name: string): Adapter {
  const found = known.find((adapter) => adapter.name === name);
  if (found === undefined) throw new Error(`no adapter is called ${name}`);
  return found;
}

const turn = {
  after: (delayMs: number, action: () => void) => realSystem.after(delayMs, action),
  atTurnEnd: (action: () => void) => realSystem.atTurnEnd(action),
};

function openNet(options: AdapterOptions): OpenAdapter {
  return { io: new NetIo({ ...options, ...turn }), close() {} };
}
