// The adapter that carries a worker's connections, and the clock and timers that go with it.

import type { IoName } from "../channel/messages.ts";
import { DirectIo } from "../io/direct/direct-io.ts";
import type { Driver } from "../io/direct/driver.ts";
import { Timers } from "../io/direct/timers.ts";
import { TurnLoop } from "../io/direct/turn-loop.ts";
import { EpollDriver } from "../io/epoll/epoll-driver.ts";
import type { DescriptorLedger, Io } from "../io/io.ts";
import { NetIo } from "../io/net/net-io.ts";
import { openUringDriver } from "../io/uring/uring-driver.ts";
import { unlimited } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import type { System } from "../system.ts";

export interface IoLimits {
  readonly receiveBytes: number;
  readonly sendQueueBytesHigh: number;
  readonly unsentBytesMax: number;
}

export interface OpenIoOptions {
  readonly name: IoName;
  readonly system: System;
  readonly limits: IoLimits;
  readonly ledger: DescriptorLedger;
  /** The thread's timers are all set by `OpenedIo.system`: else it looks every ms whether one is due. */
  readonly ownsThread: boolean;
  /** Told when the adapter is another than the one that is named. */
  readonly notice?: (text: string) => void;
}

export interface OpenedIo {
  readonly io: Io;
  /** Of this thread from now on: its turns are those of the adapter, and its timers are known to it. */
  readonly system: System;
  close(): void;
}

/** Throws SocketError when the kernel does not give what the adapter needs. */
export function openIo(options: OpenIoOptions): OpenedIo {
  return options.name === "net" ? openNet(options) : openDirect(options);
}

function openNet({ system, limits }: OpenIoOptions): OpenedIo {
  const io = new NetIo({
    after: (delayMs, action) => system.after(delayMs, action),
    atTurnEnd: (action) => system.atTurnEnd(action),
    receiveBytes: limits.receiveBytes,
    sendQueueBytesHigh: limits.sendQueueBytesHigh,
    unsentBytesMax: unsentBytesMaxOf(limits),
  });
  return { io, system, close() {} };
}

function openDirect(options: OpenIoOptions): OpenedIo {
  const { system, limits, ledger, ownsThread } = options;
  const timers = new Timers(system);
  const loop = new TurnLoop({
    driver: openDriver(options),
    timerInMs: () => timers.nextInMs(),
    waitMsMax: ownsThread ? Number.POSITIVE_INFINITY : 1,
  });
  const io = new DirectIo({
    loop,
    ledger,
    after: (delayMs, action) => timers.after(delayMs, action),
    receiveBytes: limits.receiveBytes,
    sendQueueBytesHigh: limits.sendQueueBytesHigh,
    unsentBytesMax: unsentBytesMaxOf(limits),
  });
  const known: System = {
    ...system,
    after: (delayMs, action) => timers.after(delayMs, action),
    every: (periodMs, action) => timers.every(periodMs, action),
    atTurnEnd: (action) => loop.atTurnEnd(action),
  };
  return { io, system: known, close: () => loop.close() };
}

/** The node has found that the kernel has io_uring; still it may refuse this thread a ring (limits on memory, descriptors). */
function openDriver({ name, ledger, notice }: OpenIoOptions): Driver {
  if (name !== "uring") return new EpollDriver(ledger);
  try {
    return openUringDriver({ ledger });
  } catch (error) {
    notice?.(`it uses epoll instead of io_uring: ${RouterError.from(error).message}`);
    return new EpollDriver(ledger);
  }
}

const unsentBytesMaxOf = ({ unsentBytesMax }: IoLimits): number | undefined =>
  unsentBytesMax === unlimited ? undefined : unsentBytesMax;
