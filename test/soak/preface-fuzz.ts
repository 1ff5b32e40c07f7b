// Feeds the reader of PROXY protocol prefaces mutated ones for a while:
// `node test/soak/preface-fuzz.ts [SECONDS] [SEED]`.
//
// What must hold of any bytes at all:
//   1. the outcome is the same whole, octet by octet and with bytes behind it;
//   2. what is accepted names two IP addresses in their canonical text, or nobody;
//   3. written again, in either version, it means the same;
//   4. nothing throws.
// Prints the seed first and the failing input last. Ends by itself.

import { isDeepStrictEqual } from "node:util";
import { type PrefaceReading, readPreface } from "../../src/protocol/proxy-preface.ts";
import { writePreface } from "../../src/protocol/proxy-preface-writer.ts";
import { poisoned } from "../protocol/octets-of.ts";
import { badPrefaces, binary, ipv6Ends, record } from "../protocol/preface-like.ts";

const seconds = Number(process.argv[2] ?? 10);
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000_007);
const bytesMax = 1_000;

let state = seed >>> 0 || 1;

/** 0 <= x < bound; xorshift32, so that a seed replays a run. */
function random(bound: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % bound;
}

const corpus = [
  "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
  "PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 1 0\r\n",
  "PROXY UNKNOWN whatever\r\n",
  binary(),
  binary({ familyTransport: 0x21, ends: ipv6Ends }),
  binary({ versionCommand: 0x20, records: record(4, "abc") }),
  binary({ records: record(1, "h2") + record(0x20, "\0\0\0\0\0") }),
  ...badPrefaces.map(([, text]) => text),
];
const spices = ["\r", "\n", "\r\n", " ", "\0", "0", "9", ":", "::", ".", "PROXY ", "\x21", "\xff"];

function choose(values: readonly string[]): string {
  return values[random(values.length)] ?? "";
}

function mutate(text: string): string {
  const at = random(text.length + 1);
  switch (random(4)) {
    case 0:
      return text.slice(0, at) + choose(spices) + text.slice(at);
    case 1:
      return text.slice(0, at) + text.slice(at + 1 + random(4));
    case 2:
      return text.slice(0, at) + String.fromCharCode(random(256)) + text.slice(at + 1);
    default:
      return text.slice(0, at) + choose(corpus).slice(random(40));
  }
}

const read = (text: string): PrefaceReading =>
  readPreface(poisoned(text, 3), 3, 3 + text.length, bytesMax);

function check(text: string): boolean {
  const whole = read(text);
  let first = read("");
  for (let end = 1; end <= text.length && first.kind === "incomplete"; end++) {
    first = read(text.slice(0, end));
  }
  if (!isDeepStrictEqual(first, whole)) throw new Error("the pieces change the outcome");
  if (whole.kind === "incomplete") return false;
  if (!isDeepStrictEqual(read(`${text}more`), whole)) throw new Error("what follows changes it");
  if (whole.kind === "refused" || whole.preface.ends === undefined) return false;
  for (const version of [1, 2] as const) {
    const again = read(Buffer.from(writePreface(version, whole.preface.ends)).toString("latin1"));
    if (again.kind !== "whole" || !isDeepStrictEqual(again.preface.ends, whole.preface.ends)) {
      throw new Error(`version ${version} says something else`);
    }
  }
  return true;
}

process.stdout.write(`seed ${seed}\n`);
const end = Date.now() + seconds * 1_000;
let executions = 0;
let accepted = 0;
while (Date.now() < end) {
  let text = choose(corpus);
  for (let left = random(4); left > 0; left--) text = mutate(text);
  executions++;
  try {
    if (check(text)) accepted++;
  } catch (error) {
    process.stdout.write(`failed on ${JSON.stringify(text)}\n`);
    throw error;
  }
}
process.stdout.write(`${executions} executions, ${accepted} named a client, 0 failures\n`);
