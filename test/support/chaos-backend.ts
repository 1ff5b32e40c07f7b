// A backend that answers rightly, or breaks off in every way it can; which, a seed decides.
//
// What the right answer is stands in the request's target: /SEED/SIZE. The body is `patternOf` it, and
// X-Got says what arrived of the request's own body. So whoever gets a whole answer can check it.

import { createHash } from "node:crypto";
import type { Peer } from "./peer.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { type StrictMessage, valuesOf } from "./strict-http.ts";
import { turns, until } from "./until.ts";

/** `size` characters that depend on the seed; no two places look alike for long. */
export function patternOf(seed: number, size: number): string {
  let text = "";
  for (let i = 0; text.length < size; i++) text += `${seed}.${i};`;
  return text.slice(0, size);
}

export function digestOf(text: string): string {
  return createHash("sha256").update(text, "latin1").digest("hex").slice(0, 16);
}

/** Serves one connection until it or the backend has had enough. */
export async function chaosBackend(peer: Peer, random: SeededRandom): Promise<void> {
  while (!peer.over) {
    if (random.chance(0.03)) return peer.reset();
    if (random.chance(0.04)) return await answerEarly(peer);
    const request = await peer.takeRequest();
    if (valuesOf(request, "upgrade").length > 0) return await upgrade(peer, random);
    if (!(await answer(peer, request, random))) return;
  }
  peer.socket.destroy();
}

/** Answers as soon as the head is there, without reading the rest. */
async function answerEarly(peer: Peer): Promise<void> {
  await peer.takeHead();
  peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno").end();
  await until(() => peer.over, "the router to leave");
  peer.socket.destroy();
}

async function upgrade(peer: Peer, random: SeededRandom): Promise<void> {
  if (random.chance(0.2)) {
    peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").end();
    return;
  }
  peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
  await echo(peer, random);
}

/** Sends back what comes; sometimes breaks off. */
export async function echo(peer: Peer, random: SeededRandom): Promise<void> {
  for (;;) {
    await until(() => peer.text !== "" || peer.over, "bytes to echo");
    if (random.chance(0.05)) return peer.reset();
    peer.send(peer.text);
    peer.text = "";
    if (peer.ended) return void peer.end();
    if (peer.closed) return;
    await turns(1);
  }
}

/** False: the connection is over. */
async function answer(peer: Peer, request: StrictMessage, random: SeededRandom): Promise<boolean> {
  const [method = "", target = ""] = request.startLine.split(" ");
  const [, seed = "0", size = "0"] = target.split("/");
  const body = method === "HEAD" ? "" : patternOf(Number(seed), Number(size));
  const fields = `X-Got: ${digestOf(request.body)}\r\n`;
  if (random.chance(0.1)) peer.send("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n");
  const way = random.below(24);
  if (way === 0) return breakOff(peer);
  if (way === 1) return await hang(peer);
  if (way === 2) return nonsense(peer);
  if (way <= 4 && method !== "HEAD") return await untilClose(peer, fields, body, random);
  const text =
    way <= 12 && method !== "HEAD"
      ? `HTTP/1.1 200 OK\r\n${fields}Transfer-Encoding: chunked\r\n\r\n${chunked(body, random)}`
      : `HTTP/1.1 200 OK\r\n${fields}Content-Length: ${Number(size)}\r\n\r\n${body}`;
  if (way === 23 && text.length > 20) {
    peer.send(text.slice(0, 1 + random.below(text.length - 1)));
    return breakOff(peer);
  }
  await inPieces(peer, text, random);
  // Closing behind the answer meets the next request on its way, or does not.
  if (random.chance(0.1)) return breakOff(peer);
  if (random.chance(0.1)) {
    peer.end();
    return false;
  }
  return true;
}

function breakOff(peer: Peer): boolean {
  peer.reset();
  return false;
}

async function hang(peer: Peer): Promise<boolean> {
  await until(() => peer.over, "the router to give up");
  peer.socket.destroy();
  return false;
}

function nonsense(peer: Peer): boolean {
  peer.send("220 mail.test ESMTP\r\n");
  return false;
}

/** A body that ends with the connection; reset in the middle, it must not look whole. */
async function untilClose(
  peer: Peer,
  fields: string,
  body: string,
  random: SeededRandom,
): Promise<boolean> {
  const text = `HTTP/1.1 200 OK\r\n${fields}\r\n${body}`;
  if (random.chance(0.3) && body.length > 1) {
    peer.send(text.slice(0, text.length - 1 - random.below(body.length - 1)));
    await turns(random.below(3));
    return breakOff(peer);
  }
  await inPieces(peer, text, random);
  peer.end();
  return false;
}

function chunked(body: string, random: SeededRandom): string {
  const chunks = random.pieces(body, Math.max(1, Math.ceil(body.length / 3)));
  const text = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join("");
  return `${text}0\r\n${random.chance(0.2) ? "Trailer: x\r\n" : ""}\r\n`;
}

async function inPieces(peer: Peer, text: string, random: SeededRandom): Promise<void> {
  if (random.chance(0.6)) {
    peer.send(text);
    return;
  }
  for (const piece of random.pieces(text, Math.max(1, Math.ceil(text.length / 4)))) {
    peer.send(piece);
    await turns(random.below(3));
    if (peer.over) return;
  }
}
