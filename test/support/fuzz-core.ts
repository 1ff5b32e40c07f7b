// What must hold of any octets at all, given to the sans-IO parsers:
//   1. the outcome is the same given whole, in random pieces, and octet by octet;
//   2. what is accepted is copied as lines that a strict reader accepts, without framing fields;
//   3. an independent reader that is at least as strict understands the forwarded message alike;
//   4. nothing throws, and nothing takes longer than `roundMsMax`.

import type { HttpCase } from "../transcripts/http-cases.ts";
import {
  byteByByte,
  methodOf,
  readRequests,
  readResponses,
  type Understood,
} from "../transcripts/parser-driver.ts";
import { randomPartition } from "./partitions.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { readStrict } from "./strict-http.ts";

/** One input, in ms of processor time: on a busy machine a thread stands still for longer. */
const roundMsMax = 500;

/** Checks one input; throws what was wrong. True: it began with a whole message. */
export function fuzzCore(input: HttpCase, random: SeededRandom): boolean {
  const { dir, bytes } = input;
  const before = process.threadCpuUsage();
  const read = (cuts: readonly number[]): Understood[] =>
    dir === "c2p" ? readRequests(bytes, cuts) : readResponses(bytes, cuts, methodOf(input));
  const whole = read([bytes.length]);
  const expected = JSON.stringify(whole);
  for (const cuts of [randomPartition(bytes.length, random), byteByByte(bytes)]) {
    const cut = JSON.stringify(read(cuts));
    if (cut !== expected)
      throw new Error(`cut differently, understood differently:\n${expected}\n${cut}`);
  }
  for (const message of whole) checkMessage(message);
  const { user, system } = process.threadCpuUsage(before);
  const tookMs = (user + system) / 1000;
  if (tookMs > roundMsMax) throw new Error(`took ${tookMs.toFixed(0)} ms`);
  return whole[0]?.bodyState === "complete";
}

const strictLine = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n$/;
const framingField =
  /^(content-length|transfer-encoding|connection|upgrade|te|trailer|keep-alive):/i;

function checkMessage(message: Understood): void {
  for (const line of message.lines) {
    if (!strictLine.test(line)) throw new Error(`forwards ${JSON.stringify(line)}`);
    // RFC 9110 section 15.5.22: 426 says what to upgrade to.
    const isOffer = message.line.startsWith("426 ") && /^upgrade:/i.test(line);
    if (framingField.test(line) && !isOffer)
      throw new Error(`forwards hop-by-hop ${JSON.stringify(line)}`);
  }
  if (message.kind === "refused" || message.bodyState !== "complete") return;
  const { kind, body } = message;
  const hasHost = kind === "response" || message.lines.some((line) => /^host:/i.test(line));
  const startLine = kind === "request" ? message.line : `HTTP/1.1 ${message.line}`;
  const bodiless = kind === "response" && body === "";
  const head = `${startLine}\r\n${hasHost ? "" : "Host: none\r\n"}${message.lines.join("")}`;
  const text = `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
  const again = readStrict(text, kind, { bodiless });
  if (again?.complete !== true || again.violations.length > 0 || again.body !== body)
    throw new Error(
      `a strict reader objects: ${again?.violations.join()} to ${JSON.stringify(text)}`,
    );
}
