// The chunked transfer coding (RFC 9112 section 7.1), octet by octet, in place.
//
// Knows: chunk sizes, extensions, trailers. Extensions are checked and dropped (section 7.1.1),
// trailers too: what a trailer may mean is decided by nobody on the way. Bare CR and LF, signs,
// prefixes and white space around the size are refused: each has been used to make two servers
// see two bodies.
//
// Everything that is not data is bounded: by message for extensions and trailers, and by digits
// for a size. How much the trailers may be is handed in.

import {
  colonOctet,
  crOctet,
  hexDigit,
  isBlank,
  lfOctet,
  octetClass,
  semicolonOctet,
  tokenOctet,
  valueOctet,
} from "./octets.ts";

export const ChunkEvent = {
  /** All octets up to `end` were consumed, and the body goes on. */
  NeedMore: 0,
  /** `dataStart..dataEnd` is data. */
  Data: 1,
  /** The body is over; `next` is where the following message begins. */
  End: 2,
  /** The coding is broken; nothing after it can be trusted. `error` says how. */
  Error: 3,
} as const;
export type ChunkEvent = (typeof ChunkEvent)[keyof typeof ChunkEvent];

/** Hexadecimal digits of one size; 2^53 - 1, the largest exact sum, has 14. Leading zeros count. */
const sizeDigitsMax = 16;
/** Octets of all extensions of one body. Nobody uses them; Go bounds them since CVE-2023-39326. */
const extensionBytesMax = 4096;

/** Bounds of the trailer section; see limits.ts. */
export interface TrailerLimits {
  readonly trailerBytesMax: number;
  readonly trailerFieldsMax: number;
}

const equals = 0x3d;
const quote = 0x22;
const backslash = 0x5c;

/** Where in the coding we are. */
const State = {
  Size: 0,
  SizeLf: 1,
  Data: 2,
  DataCr: 3,
  DataLf: 4,
  // Extensions: *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )
  BeforeSemicolon: 5,
  BeforeName: 6,
  Name: 7,
  AfterName: 8,
  BeforeValue: 9,
  Value: 10,
  Quoted: 11,
  QuotedPair: 12,
  AfterQuoted: 13,
  // Trailers
  TrailerStart: 14,
  TrailerName: 15,
  TrailerValue: 16,
  TrailerLf: 17,
  EndLf: 18,
  Ended: 19,
  Broken: 20,
} as const;

/** One body's decoder; reused by `reset`. */
export class ChunkedDecoder {
  /** Where to go on after `step`. */
  next = 0;
  dataStart = 0;
  dataEnd = 0;
  /** A short constant reason after `ChunkEvent.Error`. */
  error = "";

  readonly #limits: TrailerLimits;
  #state: number = State.Size;
  /** Of the size being read, or data octets still to come. */
  #size = 0;
  #digits = 0;
  #extensionBytes = 0;
  #trailerBytes = 0;
  #trailerFields = 0;

  constructor(limits: TrailerLimits) {
    this.#limits = limits;
  }

  /** Begins a new body. */
  reset(): void {
    this.#state = State.Size;
    this.#size = 0;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#trailerBytes = 0;
    this.#trailerFields = 0;
    this.error = "";
  }

  /** Consumes from `at`, not beyond `end`, and reports one `ChunkEvent`. */
  step(bytes: Uint8Array, at: number, end: number): number {
    let index = at;
    while (index < end) {
      if (this.#state === State.Data) return this.#takeData(index, end);
      if (this.#state >= State.Ended) break;
      this.#state = this.#advance(bytes[index]!);
      if (this.#state === State.Broken) break;
      index++;
      if (this.#state === State.Ended) break;
    }
    this.next = index;
    if (this.#state === State.Ended) return ChunkEvent.End;
    return this.#state === State.Broken ? ChunkEvent.Error : ChunkEvent.NeedMore;
  }

  #takeData(at: number, end: number): number {
    const taken = Math.min(this.#size, end - at);
    this.#size -= taken;
    if (this.#size === 0) this.#state = State.DataCr;
    this.dataStart = at;
    this.dataEnd = at + taken;
    this.next = at + taken;
    return ChunkEvent.Data;
  }

  // One octet: the next state.
  #advance(octet: number): number {
    switch (this.#state) {
      case State.Size:
        return this.#advanceSize(octet);
      case State.SizeLf:
        return this.#advanceSizeLf(octet);
      case State.DataCr:
        return octet === crOctet ? State.DataLf : this.#fail("bad-chunk-end");
      case State.DataLf:
        if (octet !== lfOctet) return this.#fail("bad-chunk-end");
        this.#digits = 0;
        return State.Size;
      case State.TrailerStart:
      case State.TrailerName:
      case State.TrailerValue:
      case State.TrailerLf:
        return this.#advanceTrailer(octet);
      case State.EndLf:
        return octet === lfOctet ? State.Ended : this.#fail("bare-cr");
      default:
        return this.#advanceExtension(octet);
    }
  }

  #advanceSize(octet: number): number {
    const digit = hexDigit[octet]!;
    if (digit < 16) {
      if (++this.#digits > sizeDigitsMax) return this.#fail("chunk-size-too-long");
      this.#size = this.#size * 16 + digit;
      return this.#size > Number.MAX_SAFE_INTEGER ? this.#fail("chunk-too-large") : State.Size;
    }
    if (this.#digits === 0) return this.#fail("bad-chunk-size");
    if (octet === crOctet) return State.SizeLf;
    if (octet === semicolonOctet || isBlank(octet)) return this.#advanceExtension(octet);
    return this.#fail("bad-chunk-size");
  }

  #advanceSizeLf(octet: number): number {
    if (octet !== lfOctet) return this.#fail("bare-cr");
    return this.#size === 0 ? State.TrailerStart : State.Data;
  }

  #advanceExtension(octet: number): number {
    if (++this.#extensionBytes > extensionBytesMax) return this.#fail("extensions-too-long");
    const next = nextInExtension(this.#state, octet);
    return next === State.Broken ? this.#fail("bad-chunk-extension") : next;
  }

  #advanceTrailer(octet: number): number {
    if (++this.#trailerBytes > this.#limits.trailerBytesMax) return this.#fail("trailers-too-long");
    const next = nextInTrailer(this.#state, octet);
    if (next === State.Broken) return this.#fail("bad-trailer");
    if (this.#state === State.TrailerStart && next === State.TrailerName) {
      if (++this.#trailerFields > this.#limits.trailerFieldsMax)
        return this.#fail("too-many-trailers");
    }
    return next;
  }

  #fail(error: string): number {
    this.error = error;
    return State.Broken;
  }
}

// CR ends the line right behind a name or a value; inside a quoted string, or behind a blank, which the
// grammar has only before ";" and "=", it is an error.
function nextInExtension(state: number, octet: number): number {
  const token = (octetClass[octet]! & tokenOctet) !== 0;
  const blank = isBlank(octet);
  switch (state) {
    case State.Size:
    case State.BeforeSemicolon:
      if (octet === semicolonOctet) return State.BeforeName;
      return blank ? State.BeforeSemicolon : State.Broken;
    case State.BeforeName:
      if (token) return State.Name;
      return blank ? State.BeforeName : State.Broken;
    case State.Name:
      if (token) return State.Name;
      return octet === crOctet ? State.SizeLf : afterName(octet);
    case State.AfterName:
      return afterName(octet);
    case State.BeforeValue:
      if (octet === quote) return State.Quoted;
      if (token) return State.Value;
      return blank ? State.BeforeValue : State.Broken;
    case State.Value:
      if (token) return State.Value;
      return afterValue(octet);
    case State.Quoted:
      if (octet === quote) return State.AfterQuoted;
      if (octet === backslash) return State.QuotedPair;
      return isValueOctet(octet) ? State.Quoted : State.Broken;
    case State.QuotedPair:
      return isValueOctet(octet) ? State.Quoted : State.Broken;
    case State.AfterQuoted:
      return afterValue(octet);
    default:
      return State.Broken;
  }
}

function afterName(octet: number): number {
  if (octet === equals) return State.BeforeValue;
  if (isBlank(octet)) return State.AfterName;
  return octet === semicolonOctet ? State.BeforeName : State.Broken;
}

function afterValue(octet: number): number {
  if (octet === semicolonOctet) return State.BeforeName;
  if (isBlank(octet)) return State.BeforeSemicolon;
  return octet === crOctet ? State.SizeLf : State.Broken;
}

function nextInTrailer(state: number, octet: number): number {
  const token = (octetClass[octet]! & tokenOctet) !== 0;
  switch (state) {
    case State.TrailerStart:
      if (octet === crOctet) return State.EndLf;
      return token ? State.TrailerName : State.Broken;
    case State.TrailerName:
      if (octet === colonOctet) return State.TrailerValue;
      return token ? State.TrailerName : State.Broken;
    case State.TrailerValue:
      if (octet === crOctet) return State.TrailerLf;
      return isValueOctet(octet) ? State.TrailerValue : State.Broken;
    default:
      return octet === lfOctet ? State.TrailerStart : State.Broken;
  }
}

function isValueOctet(octet: number): boolean {
  return (octetClass[octet]! & valueOctet) !== 0;
}

const digits = Uint8Array.from("0123456789abcdef", (digit) => digit.charCodeAt(0));

/** Writes "1f4\r\n" at `at`; returns the index after it. At most 16 octets. */
export function writeChunkHead(out: Uint8Array, at: number, size: number): number {
  let length = 1;
  for (let rest = size; rest >= 16; rest = Math.floor(rest / 16)) length++;
  let rest = size;
  for (let index = at + length - 1; index >= at; index--) {
    out[index] = digits[rest % 16]!;
    rest = Math.floor(rest / 16);
  }
  out[at + length] = crOctet;
  out[at + length + 1] = lfOctet;
  return at + length + 2;
}
