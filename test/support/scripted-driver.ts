// A driver in the test's hand: what happens is pushed, what was asked is noted, sends are answered as told.

import type { Driver, Pieces } from "../../src/io/direct/driver.ts";

interface Told {
  readonly slot: number;
  readonly generation: number;
  readonly events: number;
}

export class ScriptedDriver implements Driver {
  readonly name = "epoll";
  /** fd -> what it was watched under. */
  readonly watched = new Map<number, { slot: number; generation: number }>();
  /** ms of every wait. */
  readonly waits: number[] = [];
  /** fd and text of every piece that was sent, turn by turn. */
  readonly sent: [fd: number, length: number][][] = [];
  /** Answers the sends to a descriptor; else all is taken. */
  readonly answers = new Map<number, number>();
  #coming: Told[] = [];
  #now: Told[] = [];
  isClosed = false;
  settled = 0;

  /** Happens in the next wait. */
  tell(fd: number, events: number): void {
    this.#coming.push({ ...this.watched.get(fd)!, events });
  }

  tellAs(told: Told): void {
    this.#coming.push(told);
  }

  watch(fd: number, slot: number, generation: number): void {
    this.watched.set(fd, { slot, generation });
  }

  unwatch(fd: number): void {
    this.watched.delete(fd);
  }

  settle(): void {
    this.settled++;
  }

  wait(ms: number): number {
    this.waits.push(ms);
    this.#now = this.#coming;
    this.#coming = [];
    return this.#now.length;
  }

  slotAt(index: number): number {
    return this.#now[index]!.slot;
  }

  generationAt(index: number): number {
    return this.#now[index]!.generation;
  }

  eventsAt(index: number): number {
    return this.#now[index]!.events;
  }

  sendAll(count: number, { fds, lengths, results }: Pieces): void {
    const pieces: [number, number][] = [];
    for (let i = 0; i < count; i++) {
      pieces.push([fds[i]!, lengths[i]!]);
      results[i] = this.answers.get(fds[i]!) ?? lengths[i]!;
    }
    this.sent.push(pieces);
  }

  close(): void {
    this.isClosed = true;
  }
}
