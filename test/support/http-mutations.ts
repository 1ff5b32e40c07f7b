// HTTP messages that are almost right: the transcripts' cases with a few octets changed, spliced, repeated. From a seed.

import { type HttpCase, httpCases } from "../transcripts/http-cases.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** Of a mutated message; longer ones only take longer. */
const octetsMax = 4000;
const mutationsMax = 4;

const corpus = {
  c2p: httpCases.filter(({ dir }) => dir === "c2p"),
  u2p: httpCases.filter(({ dir }) => dir === "u2p"),
} as const;
const all = httpCases.map(({ bytes }) => bytes);

/** What parsers trip over. */
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

/** A case of that direction, mutated one to `mutationsMax` times; all but `bytes` is as it was. */
export function mutatedCase(dir: HttpCase["dir"], random: SeededRandom): HttpCase {
  const chosen = random.one(corpus[dir]);
  let bytes = chosen.bytes.slice(0, octetsMax);
  for (let left = 1 + random.below(mutationsMax); left > 0; left--)
    bytes = mutate(bytes, random).slice(0, octetsMax);
  return { ...chosen, bytes };
}

function mutate(text: string, random: SeededRandom): string {
  const at = random.below(text.length + 1);
  const length = random.below(8);
  switch (random.below(6)) {
    case 0:
      return text.slice(0, at) + random.one(spices) + text.slice(at);
    case 1:
      return text.slice(0, at) + text.slice(at + length);
    case 2:
      return text.slice(0, at) + String.fromCharCode(random.below(256)) + text.slice(at + 1);
    case 3:
      return text.slice(0, at) + random.one(all).slice(random.below(60));
    case 4:
      return text.slice(0, at) + text.slice(Math.max(0, at - length)).repeat(2);
    default:
      return text.slice(0, at) + random.one(spices) + text.slice(at + length);
  }
}
