// The adapter that carries a worker's connections, and the clock and timers that go with it.

import type { IoName } from "../channel/messages.ts";
import { DirectIo } from "../io/direct/direct-io.ts";
import type { Driver } from "../io/direct/driver.ts";
import { Timers } from "../io/direct/timers.ts";
import { TurnLoop } from "../io/direct/turn-loop.ts";
import { EpollDriver } from "../io/epoll/epoll-driver.ts";
import type { Io, IoOptions, ThreadLedger } from "../io/io.ts";
import { NetIo } from "../io/net/net-io.ts";
import { openUringDriver } from "../io/uring/uring-driver.ts";
import { unlimited } from "../limits.ts";
import type { System } from "../system.ts";

/** Pipes that a worker keeps for the next bulk while nobody needs them. */
const pipesKeptMax = 8;

/** A worker with nothing to do has a look at itself so often: nothing depends on it. */
const waitMsMax = 60_000;

export interface IoLimits {
  readonly receiveBytes: number;
  readonly sendQueueBytesHigh: number;
  readonly unsentBytesMax: number;
  readonly pipesMax: number;
}

export interface OpenIoOptions {
  readonly name: IoName;
  readonly system: System;
  readonly limits: IoLimits;
  readonly ledger: ThreadLedger;
  /** The thread's timers are all set by `OpenedIo.system`: else it looks every ms whether one is due. */
  readonly ownsThread: boolean;
  /** Told whenever accepting had to rest, with the cause. */
  readonly onAcceptTrouble: (message: string) => void;
}

export interface OpenedIo {
  readonly io: Io;
  /** Of this thread from now on: its turns are those of the adapter, and its timers are known to it. */
  readonly system: System;
  /** Why it is not the one that was asked for; "" when it is. */
  readonly trouble: string;
  /** Resolves when everybody else in this thread has had a turn. */
  nextTurn(): Promise<void>;
  close(): void;
}

/** Throws SocketError when the kernel does not give what the adapter needs. */
export function openIo(options: OpenIoOptions): OpenedIo {
  return options.name === "net" ? openNet(options) : openDirect(options);
}

function openNet(options: OpenIoOptions): OpenedIo {
  const { system } = options;
  const io = new NetIo({
    ...commonOptions(options, system),
    atTurnEnd: (action) => system.atTurnEnd(action),
  });
  const nextTurn = (): Promise<void> => new Promise((resolve) => system.atTurnEnd(resolve));
  return { io, system, trouble: "", nextTurn, close() {} };
}

function openDirect(options: OpenIoOptions): OpenedIo {
  const { name, system, limits, ledger, ownsThread } = options;
  const timers = new Timers(system);
  const { driver, trouble } = openDriver(name, ledger);
  const loop = new TurnLoop({
    driver,
    timerInMs: () => timers.nextInMs(),
    waitMsMax: ownsThread ? waitMsMax : 1,
    sharesThread: !ownsThread,
  });
  const io = new DirectIo({
    ...commonOptions(options, timers),
    loop,
    ledger,
    pipes: { fillBytes: limits.receiveBytes, pipesMax: limits.pipesMax, pipesKeptMax },
  });
  const known: System = {
    ...system,
    after: (delayMs, action) => timers.after(delayMs, action),
    every: (periodMs, action) => timers.every(periodMs, action),
    atTurnEnd: (action) => loop.atTurnEnd(action),
  };
  const close = (): void => {
    io.close();
    loop.close();
  };
  return { io, system: known, trouble, nextTurn: () => loop.letLibuv(), close };
}

/** A ring that this thread does not get, though the node has tried one, must not keep it from serving. */
function openDriver(
  name: IoName,
  ledger: ThreadLedger,
): { readonly driver: Driver; readonly trouble: string } {
  if (name === "uring") {
    try {
      return { driver: openUringDriver({ ledger }), trouble: "" };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { driver: new EpollDriver(ledger), trouble: `io_uring: ${reason}; epoll serves` };
    }
  }
  return { driver: new EpollDriver(ledger), trouble: "" };
}

function commonOptions(
  { limits, onAcceptTrouble }: OpenIoOptions,
  timers: Pick<System, "after">,
): IoOptions {
  const { receiveBytes, sendQueueBytesHigh, unsentBytesMax } = limits;
  return {
    after: (delayMs, action) => timers.after(delayMs, action),
    receiveBytes,
    sendQueueBytesHigh,
    unsentBytesMax: unsentBytesMax === unlimited ? undefined : unsentBytesMax,
    onAcceptTrouble,
  };
}
