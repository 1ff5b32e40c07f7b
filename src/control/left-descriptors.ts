// Closes what dead workers leave open: connections, rings and polls that they used by number, and what they had mapped.
//
// Knows: the memory in which the worker of each slot marks what it holds (channel/descriptors.ts).
// Does not know: what a descriptor is for, or how it is known that a thread is gone. That it is gone is the
// condition of everything here: while it runs it may close a number itself, and the next to get that number is a
// stranger (docs/decisions/0031).

import { closeSync } from "node:fs";
import {
  type DescriptorMemory,
  descriptorMemory,
  HeldDescriptors,
} from "../channel/descriptors.ts";
import { libc } from "../io/ffi.ts";
import type { System } from "../system.ts";
import type { Log } from "../telemetry/log-port.ts";

/** Some 10 ms of the main thread; then others get a turn. */
const closedPerTurnMax = 1_000;

export interface LeftDescriptorsOptions {
  readonly slots: number;
  /** Descriptors that the process may have. */
  readonly numbers: number;
  readonly system: System;
  readonly log: Log;
  /** Throws when the number is not open. */
  readonly close?: (fd: number) => void;
  readonly unmap?: (address: number, length: number) => void;
}

export class LeftDescriptors {
  readonly #options: LeftDescriptorsOptions;
  readonly #close: (fd: number) => void;
  readonly #unmap: (address: number, length: number) => void;
  /** By slot. */
  readonly #memories: DescriptorMemory[];

  constructor(options: LeftDescriptorsOptions) {
    this.#options = options;
    this.#close = options.close ?? closeSync;
    this.#unmap = options.unmap ?? ((address, length) => void libc().munmap(address, length));
    this.#memories = Array.from({ length: options.slots }, () => descriptorMemory(options.numbers));
  }

  /** Where the slot's next worker marks what it holds. */
  memoryOf(slot: number): DescriptorMemory {
    return this.#memories[slot]!;
  }

  /** Closes all that the slot's worker left, whose thread must be gone. Answers how many descriptors that were. */
  close(slot: number): Promise<number> {
    return this.#closeIn(this.memoryOf(slot), slot);
  }

  /** As `close`, but when the thread is gone: until then a replacement marks elsewhere. */
  closeLater(worker: { readonly slot: number; readonly gone: Promise<void> }): Promise<number> {
    const { slot, gone } = worker;
    const memory = this.memoryOf(slot);
    this.#memories[slot] = descriptorMemory(this.#options.numbers);
    return gone.then(() => this.#closeIn(memory, slot));
  }

  /** As `close`, of every slot. */
  async closeAll(): Promise<void> {
    for (const slot of this.#memories.keys()) await this.close(slot);
  }

  async #closeIn(memory: DescriptorMemory, slot: number): Promise<number> {
    const { system, log } = this.#options;
    const held = new HeldDescriptors(memory);
    const left = held.all();
    const { beyond } = held;
    // A ring ends, and lets go of the sockets that it watches, when neither descriptor nor mapping is left of it.
    for (const [address, length] of held.mappings()) this.#unmap(address, length);
    let closed = 0;
    for (const [index, fd] of left.entries()) {
      if (index > 0 && index % closedPerTurnMax === 0) {
        await new Promise<void>((resolve) => system.atTurnEnd(resolve));
      }
      if (this.#tryClose(fd)) closed++;
    }
    held.clear();
    if (closed > 0) log.info("closed what a worker left open", { slot, descriptors: closed });
    // Each is a number that somebody else might have had by now.
    const astray = left.length - closed;
    if (astray > 0)
      log.error("a worker had marked descriptors that were not open", { slot, astray });
    if (beyond !== 0)
      log.warn("a worker left descriptors open that nobody knows", { slot, beyond });
    return closed;
  }

  #tryClose(fd: number): boolean {
    try {
      this.#close(fd);
      return true;
    } catch {
      return false;
    }
  }
}
