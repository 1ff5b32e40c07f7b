// Feeds the parsers mutated messages for a while: `node test/soak/http-fuzz.ts [SECONDS] [SEED]`.
//
// The visible cases are the corpus; each round takes one or two, changes a few octets, splices,
// repeats, and checks what must hold of any octets at all:
//   1. the outcome is the same given whole, in random pieces, and octet by octet;
//   2. what is accepted is copied as lines that a strict reader accepts, without framing fields;
//   3. an independent reader that is at least as strict understands the forwarded message alike;
//   4. nothing throws, and nothing takes longer than `roundMsMax`.
// Prints the seed first and the failing input last. Ends by itself.

import { readStrict } from "../support/strict-http.ts";
import { httpCases } from "../transcripts/http-cases.ts";
import {
  byteByByte,
  readRequests,
  readResponses,
  type Understood,
} from "../transcripts/parser-driver.ts";

const seconds = Number(process.argv[2] ?? 10);
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000_007);
/** One round on a busy machine, in ms. */
const roundMsMax = 500;
const inputBytesMax = 4000;

let state = seed >>> 0;

/** 0 <= x < bound; xorshift32, so that a seed replays a run. */
function random(bound: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % bound;
}

function choose<T>(values: readonly T[]): T {
  const value = values[random(values.length)];
  if (value === undefined) throw new Error("nothing to choose from");
  return value;
}

const corpus = {
  c2p: httpCases
    .filter(({ dir }) => dir === "c2p")
    .map(({ bytes }) => bytes.slice(0, inputBytesMax)),
  u2p: httpCases
    .filter(({ dir }) => dir === "u2p")
    .map(({ bytes }) => bytes.slice(0, inputBytesMax)),
};
const spices = [
  "\r",
  "\n",
  "\r\n",
  "\r\n\r\n",
  " ",
  "\t",
  "\0",
  ":",
  ",",
  ";",
  "\x7f",
  "\xff",
  "_",
  "0",
  "5",
  "\\",
  "?",
  "#",
  "Transfer-Encoding: chunked\r\n",
  "Content-Length: 5\r\n",
  "Host: b.test\r\n",
  "Connection: close, x\r\n",
  "HTTP/1.1",
  "http://a.test",
  "chunked",
  "0\r\n\r\n",
];

function mutate(text: string): string {
  const at = random(text.length + 1);
  const length = random(8);
  switch (random(6)) {
    case 0:
      return text.slice(0, at) + choose(spices) + text.slice(at);
    case 1:
      return text.slice(0, at) + text.slice(at + length);
    case 2:
      return text.slice(0, at) + String.fromCharCode(random(256)) + text.slice(at + 1);
    case 3:
      return text.slice(0, at) + choose([...corpus.c2p, ...corpus.u2p]).slice(random(60));
    case 4:
      return text.slice(0, at) + text.slice(Math.max(0, at - length)).repeat(2);
    default:
      return text.slice(0, at) + choose(spices) + text.slice(at + length);
  }
}

function randomCuts(text: string): number[] {
  const cuts = Array.from({ length: random(5) }, () => random(text.length + 1));
  return [...cuts.toSorted((a, b) => a - b), text.length];
}

const strictLine = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n$/;
const framingField =
  /^(content-length|transfer-encoding|connection|upgrade|te|trailer|keep-alive):/i;

function checkMessage(message: Understood): void {
  for (const line of message.lines) {
    if (!strictLine.test(line)) throw new Error(`forwards ${JSON.stringify(line)}`);
    if (framingField.test(line)) throw new Error(`forwards hop-by-hop ${JSON.stringify(line)}`);
  }
  if (message.kind !== "request" || message.bodyState !== "complete") return;
  const hosts = message.lines.some((line) => /^host:/i.test(line)) ? "" : "Host: none\r\n";
  const body = message.body;
  const text = `${message.line}\r\n${hosts}${message.lines.join("")}Content-Length: ${body.length}\r\n\r\n${body}`;
  const again = readStrict(text, "request");
  if (again?.complete !== true || again.violations.length > 0 || again.body !== body) {
    throw new Error(
      `a strict reader objects: ${again?.violations.join()} to ${JSON.stringify(text)}`,
    );
  }
}

function checkInput(text: string, read: typeof readRequests): void {
  const begun = performance.now();
  const whole = read(text, [text.length]);
  const expected = JSON.stringify(whole);
  for (const cuts of [randomCuts(text), byteByByte(text)]) {
    const cut = JSON.stringify(read(text, cuts));
    if (cut !== expected)
      throw new Error(`cut differently, understood differently:\n${expected}\n${cut}`);
  }
  for (const message of whole) checkMessage(message);
  const took = performance.now() - begun;
  if (took > roundMsMax) throw new Error(`took ${took.toFixed(0)} ms`);
}

console.log(`seed ${seed}, ${seconds} s`);
const end = performance.now() + seconds * 1000;
let rounds = 0;
let accepted = 0;
while (performance.now() < end) {
  const dir = random(3) === 0 ? "u2p" : "c2p";
  let text = choose(corpus[dir]);
  for (let changes = random(4); changes >= 0; changes--)
    text = mutate(text).slice(0, inputBytesMax);
  const read =
    dir === "c2p"
      ? readRequests
      : (input: string, cuts: readonly number[]) => readResponses(input, cuts);
  try {
    checkInput(text, read);
  } catch (failure) {
    console.error(`seed ${seed}, round ${rounds}, ${dir}: ${JSON.stringify(text)}`);
    throw failure;
  }
  if (read(text, [text.length])[0]?.bodyState === "complete") accepted++;
  rounds++;
}
console.log(`${rounds} inputs, of which ${accepted} began with a whole message; nothing objected`);
