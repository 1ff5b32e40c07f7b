// Requests and answers for a storm of events: each names itself, so that whoever gets an answer can tell whose it is.

import type { SeededRandom } from "./seeded-random.ts";

/** A request as it reached a backend. */
export interface Asked {
  readonly id: string;
  readonly method: string;
  readonly upgrade: boolean;
}

/** A request as a client sends it. */
export interface Asking {
  readonly id: string;
  readonly method: string;
  readonly text: string;
}

/** "star" for the requests that cannot name themselves. */
export const idOf = (target: string): string => /\/(r\d+)/.exec(target)?.[1] ?? "star";

function chunked(...pieces: readonly string[]): string {
  const chunks = pieces.filter((piece) => piece !== "");
  return chunks.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join("");
}

/** Some are malformed, some are for a route that answers by itself, some announce a body and wait. */
export function anyRequest(random: SeededRandom, id: string): Asking {
  const body = "b".repeat(random.below(80));
  const host = `Host: ${random.chance(0.1) ? "fixed.test" : "a.test"}\r\n`;
  const expects = random.chance(0.15) ? "Expect: 100-continue\r\n" : "";
  const version = random.chance(0.1) ? "HTTP/1.0\r\nConnection: keep-alive\r\n" : "HTTP/1.1\r\n";
  const last = random.chance(0.05) ? "Connection: close\r\n" : "";
  const asking = (method: string, rest: string): Asking => ({
    id,
    method,
    text: `${method} /${id} ${rest}`,
  });
  const sending = random.one(["POST", "PUT"]);
  switch (random.below(9)) {
    case 0:
    case 1:
      return asking("GET", `${version}${host}\r\n`);
    case 2:
      return asking("HEAD", `HTTP/1.1\r\n${host}\r\n`);
    case 3:
    case 4: {
      const length = `Content-Length: ${body.length}\r\n`;
      return asking(sending, `${version}${host}${expects}${length}\r\n${body}`);
    }
    case 5:
    case 6: {
      const coding = "Transfer-Encoding: chunked\r\n";
      const end = random.chance(0.1) ? "zz\r\n" : "0\r\n\r\n";
      const fields = `${host}${expects}${last}${coding}`;
      return asking(sending, `HTTP/1.1\r\n${fields}\r\n${chunked(body, body)}${end}`);
    }
    case 7:
      return asking("GET", `HTTP/1.1\r\n${host}Connection: upgrade\r\nUpgrade: chat\r\n\r\n`);
    default: {
      const wrong = random.chance(0.1);
      const forwards = `Max-Forwards: ${random.below(2)}\r\n`;
      const text = wrong ? `BAD ${id}\r\n\r\n` : `OPTIONS * HTTP/1.1\r\n${host}${forwards}\r\n`;
      return { id: "star", method: wrong ? "BAD" : "OPTIONS", text };
    }
  }
}

/** `untilEnd`: only the end of the connection ends it. */
export interface Answering {
  readonly text: string;
  readonly switches?: boolean;
  readonly untilEnd?: boolean;
}

/** Some have interim ones before them, some are malformed. */
export function anyAnswer(random: SeededRandom, { id, method, upgrade }: Asked): Answering {
  const tag = `X-Tag: ${id}\r\n`;
  if (upgrade && random.chance(0.5)) {
    const fields = `${tag}Connection: upgrade\r\nUpgrade: chat\r\n`;
    return { text: `HTTP/1.1 101 X\r\n${fields}\r\nupgraded`, switches: true };
  }
  const body = `body-${id}-${"x".repeat(random.below(60))}`;
  const own = method === "HEAD" ? "" : body;
  const length = `Content-Length: ${body.length}\r\n`;
  const early = random.one([
    "",
    "",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 103 E\r\nX: y\r\n\r\n",
  ]);
  switch (random.below(8)) {
    case 0:
    case 1:
    case 2:
      return { text: `${early}HTTP/1.1 200 OK\r\n${tag}${length}\r\n${own}` };
    case 3:
    case 4: {
      const chunks = own === "" ? "" : `${chunked(own)}0\r\n\r\n`;
      return {
        text: `${early}HTTP/1.1 200 OK\r\n${tag}Transfer-Encoding: chunked\r\n\r\n${chunks}`,
      };
    }
    case 5:
      return { text: `${early}HTTP/1.1 204 No Content\r\n${tag}\r\n` };
    case 6: {
      const wrong = random.chance(0.5);
      if (wrong) return { text: `HTTP/1.1 2x0 wrong\r\n${tag}\r\n` };
      return { text: `HTTP/1.1 200 OK\r\n${tag}\r\n${own}`, untilEnd: true };
    }
    default:
      return {
        text: `${early}HTTP/1.0 413 No\r\n${tag}Connection: keep-alive\r\n${length}\r\n${own}`,
      };
  }
}
