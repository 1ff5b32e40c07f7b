// Fields whose texts many access-log lines repeat, written once: route, service and backend; the client.
//
// Knows: texts, and where their fields stand ready. A slot holds the fields of one triple of texts;
// another triple that falls into the same slot takes its place: nothing grows, and nothing is
// allocated after the start.
//
// A triple is found by a few characters of its texts, because reading them all costs what a slot
// saves; it stands in the slot that they name or in that slot's neighbour. Of more that agree in these
// characters each takes another's place, which is slower and not wrong.

import type { AccessKey } from "./access-fields.ts";
import { escapeBytesMax, LineBytes, quoteByte } from "./line-bytes.ts";

export interface FieldSlotsOptions {
  /** Of the fields, in their order; one to three. */
  readonly keys: readonly AccessKey[];
  /** A power of two, at least 2. */
  readonly slots: number;
  /** Fields that are longer have no slot; at most 255, and a multiple of 8. */
  readonly slotBytes: number;
}

export class FieldSlots {
  readonly keys: readonly AccessKey[];
  /** What the slots hold: slot n from n * `slotBytes` on. */
  readonly view: DataView;
  readonly slotBytes: number;
  readonly #mask: number;
  readonly #first: string[];
  readonly #second: string[];
  readonly #third: string[];
  readonly #lengths: Uint8Array;
  /** The slot that was asked for last: one client's requests come in a row, and go to one place. */
  #last = 0;
  /** Which of two neighbours gives way next. */
  #turn = 0;
  readonly #scratch: LineBytes;

  constructor(options: FieldSlotsOptions) {
    const { keys, slots, slotBytes } = options;
    this.keys = keys;
    this.slotBytes = slotBytes;
    this.view = new DataView(new ArrayBuffer(slots * slotBytes));
    this.#mask = slots - 1;
    this.#first = Array.from({ length: slots }, () => "");
    this.#second = Array.from({ length: slots }, () => "");
    this.#third = Array.from({ length: slots }, () => "");
    this.#lengths = new Uint8Array(slots);
    this.#scratch = LineBytes.own(slotBytes * escapeBytesMax + keysBytesMax);
  }

  /** Bytes of what the slot holds. */
  lengthOf(slot: number): number {
    return this.#lengths[slot]!;
  }

  /** The slot that holds the fields with these texts, from now on if not before; -1: they are too long. */
  slotOf(first: string, second: string, third: string): number {
    if (this.#holds(this.#last, first, second, third)) return this.#last;
    const home = (sampleOf(first) ^ Math.imul(sampleOf(third), 17)) & this.#mask;
    const neighbour = home ^ 1;
    if (this.#holds(home, first, second, third)) return (this.#last = home);
    if (this.#holds(neighbour, first, second, third)) return (this.#last = neighbour);
    this.#turn ^= 1;
    const isHomeFree = this.#lengths[home] === 0;
    return this.#fill(isHomeFree ? home : home ^ this.#turn, first, second, third);
  }

  #holds(slot: number, first: string, second: string, third: string): boolean {
    return (
      this.#first[slot] === first &&
      this.#third[slot] === third &&
      this.#second[slot] === second &&
      this.#lengths[slot] !== 0
    );
  }

  #fill(slot: number, first: string, second: string, third: string): number {
    if (first.length + second.length + third.length > this.slotBytes) return -1;
    const scratch = this.#scratch;
    scratch.at = 0;
    this.#write(0, first);
    this.#write(1, second);
    this.#write(2, third);
    const length = scratch.at;
    if (length > this.slotBytes) return -1;
    const start = slot * this.slotBytes;
    for (let i = 0; i < length; i += 8) {
      this.view.setFloat64(start + i, scratch.view.getFloat64(i, true), true);
    }
    this.#first[slot] = first;
    this.#second[slot] = second;
    this.#third[slot] = third;
    this.#lengths[slot] = length;
    this.#last = slot;
    return slot;
  }

  #write(index: number, text: string): void {
    const key = this.keys[index];
    if (key === undefined) return;
    this.#scratch.piece(key.quoted);
    this.#scratch.escapedText(text, text.length);
    this.#scratch.byte(quoteByte);
  }
}

/** Names differ at their ends, or behind a common beginning. */
function sampleOf(text: string): number {
  const { length } = text;
  if (length < sampledLengthMin) return length;
  const quarter = length >> 2;
  const half = length >> 1;
  let sum = length;
  sum = Math.imul(sum, 31) + text.charCodeAt(quarter);
  sum = Math.imul(sum, 31) + text.charCodeAt(quarter + 1);
  sum = Math.imul(sum, 31) + text.charCodeAt(half);
  sum = Math.imul(sum, 31) + text.charCodeAt(half + 1);
  sum = Math.imul(sum, 31) + text.charCodeAt(length - 3);
  sum = Math.imul(sum, 31) + text.charCodeAt(length - 2);
  sum = Math.imul(sum, 31) + text.charCodeAt(length - 1);
  return sum ^ (sum >>> 10) ^ (sum >>> 20);
}

const sampledLengthMin = 4;
/** Of three keys, each with its quotes. */
const keysBytesMax = 128;
