// What the sessions of a worker share, without sockets: streams that record, a clock that stands still
// until told otherwise.

import { MessageChannel } from "node:worker_threads";
import { connectionMemory } from "../../src/channel/connection-counts.ts";
import { descriptorMemory } from "../../src/channel/descriptors.ts";
import { type InFlightMemory, inFlightMemory } from "../../src/channel/in-flight.ts";
import type { WorkerSettings } from "../../src/channel/messages.ts";
import { rateMemory } from "../../src/channel/rate-buckets.ts";
import type { Io } from "../../src/io/io.ts";
import * as limits from "../../src/limits.ts";
import {
  Counter,
  type CounterName,
  countersByteLength,
  Limited,
  type LimitName,
} from "../../src/telemetry/counters.ts";
import type { WorkerContext } from "../../src/worker/context.ts";
import { makeContext, type WorkerLimits } from "../../src/worker/make-context.ts";
import { FakeSystem } from "./fake-system.ts";
import { RecordingStream } from "./recording-stream.ts";

export interface Recording {
  readonly context: WorkerContext;
  readonly system: FakeSystem;
  /** Every stream that was dialled, and where to; `events` is whoever dialled it. */
  readonly dialled: (RecordingStream & { readonly to?: string })[];
  readonly counter: (name: CounterName) => number;
  /** How often a limit refused or cut something. */
  readonly limited: (name: LimitName) => number;
  /** Lets time pass, tick by tick, so that timers fire. */
  readonly pass: (ms: number) => void;
}

/** One of several workers of a node: they share time and what is in flight. */
export interface RecordedPeer {
  readonly system: FakeSystem;
  readonly inFlight: InFlightMemory;
  readonly slot: number;
}

export function recordingContext(
  own: Partial<WorkerLimits> = {},
  settings: Partial<WorkerSettings> = {},
  { system, inFlight, slot }: RecordedPeer = {
    system: new FakeSystem(),
    inFlight: inFlightMemory(1, 64),
    slot: 0,
  },
): Recording {
  const dialled: (RecordingStream & { to?: string })[] = [];
  const io: Io = {
    name: "recording",
    listen: () => Promise.resolve({ close() {} }),
    dial(host, port, events) {
      const stream: RecordingStream & { to?: string } = new RecordingStream();
      stream.events = events;
      stream.to = `${host}:${port}`;
      dialled.push(stream);
      return stream;
    },
  };
  const { port1 } = new MessageChannel();
  port1.close();
  const context = makeContext(
    {
      workerId: 1,
      slot,
      control: port1,
      counters: new SharedArrayBuffer(countersByteLength),
      connections: connectionMemory(slot + 1, 0),
      rates: rateMemory(1),
      inFlight,
      descriptors: descriptorMemory(1_024),
      logMemory: undefined,
      settings: {
        io: "net",
        accessLog: false,
        trustForwarded: [],
        proxyProtocol: [],
        pages: [],
        via: undefined,
        forwarded: false,
        zone: "",
        limits: {},
        stickyKeys: { current: new Uint8Array(32), previous: undefined },
        faultHooks: false,
        ...settings,
      },
    },
    { ...limits, ...own },
    system,
    io,
  );
  return {
    context,
    system,
    dialled,
    counter: (name) => context.counters[Counter[name]]!,
    limited: (name) => context.counters[Limited[name]]!,
    pass(ms) {
      for (const end = system.monotonicMs() + ms; system.monotonicMs() < end; ) {
        system.advance(limits.timerTickMs);
        context.wheel.advance(system.monotonicMs());
      }
    },
  };
}
