// Goal: whatever clients and backends do to each other, every answer that looks whole is right byte for
// byte, nobody waits for ever, and when all is over nothing is counted as open.
// Method: a seeded crowd of clients that ask, pipeline, dawdle, break off and talk nonsense, backends of
// the same kind, and tables that change meanwhile. SEED=n replays one crowd (as far as the kernel does).

import { expect, test } from "vitest";
import { chaosBackend, digestOf, echo, patternOf } from "../support/chaos-backend.ts";
import type { Peer } from "../support/peer.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { type Served, serve } from "../support/served.ts";
import { statusOf, valuesOf } from "../support/strict-http.ts";
import { backendOf, putRoute, routeOf } from "../support/table-fixtures.ts";
import { turns, until } from "../support/until.ts";

const seeds = process.env["SEED"] === undefined ? [1, 2, 3] : [Number(process.env["SEED"])];
const operations = Number(process.env["CHAOS_OPERATIONS"] ?? 400);
const lanes = 12;

interface Asked {
  readonly text: string;
  readonly method: string;
  readonly body: string;
  readonly expected: string;
}

class Crowd {
  readonly #random: SeededRandom;
  readonly #served: Served;
  #left = operations;
  #seed = 0;
  whole = 0;
  cut = 0;

  constructor(served: Served, random: SeededRandom) {
    this.#served = served;
    this.#random = random;
  }

  async run(): Promise<void> {
    await Promise.all(Array.from({ length: lanes }, () => this.#lane()));
  }

  async #lane(): Promise<void> {
    while (this.#left-- > 0) {
      await this.#operate(this.#random.below(14));
    }
  }

  #operate(which: number): Promise<void> {
    switch (which) {
      case 0:
        return this.#askOld();
      case 1:
        return this.#leaveEarly();
      case 2:
        return this.#leaveInBody();
      case 3:
        return this.#halfClose();
      case 4:
        return this.#nonsense();
      case 5:
        return this.#dawdle();
      case 6:
        return this.#upgrade();
      case 7:
        return this.#relay();
      case 8:
        return this.#change();
      case 9:
      case 10:
        return this.#pipeline();
      default:
        return this.#ask();
    }
  }

  #request(fields = ""): Asked {
    const random = this.#random;
    const method = random.one(["GET", "GET", "HEAD", "POST", "PUT", "DELETE"]);
    const size = random.one([0, 1, 100, 5_000, 70_000, 200_000]);
    const seed = ++this.#seed;
    const hasBody = method === "POST" || method === "PUT";
    const body = hasBody ? patternOf(seed, random.one([0, 10, 3_000, 100_000])) : "";
    const head = `${method} /${seed}/${size} HTTP/1.1\r\nHost: a.test\r\n${fields}`;
    const pieces = random.pieces(body, Math.max(1, Math.ceil(body.length / 3)));
    const chunks = pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join("");
    const framed = random.chance(0.5)
      ? `Content-Length: ${body.length}\r\n\r\n${body}`
      : `Transfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`;
    const text = hasBody ? head + framed : `${head}\r\n`;
    return { text, method, body, expected: method === "HEAD" ? "" : patternOf(seed, size) };
  }

  async #send(peer: Peer, text: string): Promise<void> {
    const random = this.#random;
    if (random.chance(0.5)) {
      peer.send(text);
      return;
    }
    for (const piece of random.pieces(text, Math.max(1, Math.ceil(text.length / 6)))) {
      peer.send(piece);
      await turns(random.below(3));
    }
  }

  /** Takes an answer and checks it; false: the connection ended before a whole one. */
  async #check(peer: Peer, asked: Asked): Promise<boolean> {
    let answer;
    try {
      answer = await peer.takeAnswer({ bodiless: asked.method === "HEAD" });
    } catch (error) {
      if (!String(error).includes("ended before")) throw error;
      this.cut++;
      return false;
    }
    const status = statusOf(answer);
    expect([200, 408, 413, 502, 503, 504], peer.text.slice(0, 100)).toContain(status);
    if (status === 200) {
      this.whole++;
      expect(answer.body.length).toBe(asked.expected.length);
      expect(answer.body === asked.expected, "the body is another request's, or broken").toBe(true);
      expect(valuesOf(answer, "x-got")).toEqual([digestOf(asked.body)]);
    }
    return !valuesOf(answer, "connection").includes("close");
  }

  async #ask(): Promise<void> {
    const peer = await this.#served.client();
    for (let i = this.#random.below(5); i >= 0; i--) {
      const asked = this.#request();
      await this.#send(peer, asked.text);
      if (!(await this.#check(peer, asked))) break;
    }
    this.#leave(peer);
  }

  async #pipeline(): Promise<void> {
    const peer = await this.#served.client();
    const all = Array.from({ length: 1 + this.#random.below(6) }, () => this.#request());
    await this.#send(peer, all.map(({ text }) => text).join(""));
    for (const asked of all) if (!(await this.#check(peer, asked))) break;
    this.#leave(peer);
  }

  /** HTTP/1.0: the end of the body may be the end of the connection. */
  async #askOld(): Promise<void> {
    const peer = await this.#served.client();
    const seed = ++this.#seed;
    const size = this.#random.one([0, 10, 5_000, 100_000]);
    peer.send(`GET /${seed}/${size} HTTP/1.0\r\n\r\n`);
    await until(() => peer.over, "the end of an answer to HTTP/1.0");
    await turns(2);
    const whole = peer.error === "" && peer.text.startsWith("HTTP/1.1 200");
    const length = /\r\nContent-Length: (\d+)/.exec(peer.text)?.[1];
    const body = peer.text.slice(peer.text.indexOf("\r\n\r\n") + 4);
    if (whole && (length === undefined || Number(length) === body.length)) {
      expect(body === patternOf(seed, size), "an answer to HTTP/1.0 looks whole and is not").toBe(
        true,
      );
    }
    this.#leave(peer);
  }

  async #leaveEarly(): Promise<void> {
    const peer = await this.#served.client();
    const { text } = this.#request();
    peer.send(text.slice(0, 1 + this.#random.below(text.length)));
    await turns(this.#random.below(6));
    peer.reset();
  }

  async #leaveInBody(): Promise<void> {
    const peer = await this.#served.client();
    peer.send(`GET /${++this.#seed}/200000 HTTP/1.1\r\nHost: a\r\n\r\n`);
    await until(() => peer.bytesReceived > 0 || peer.over, "the beginning of an answer");
    peer.reset();
  }

  async #halfClose(): Promise<void> {
    const peer = await this.#served.client();
    const asked = this.#request();
    await this.#send(peer, asked.text);
    peer.end();
    await this.#check(peer, asked);
    await peer.untilEnded();
  }

  async #nonsense(): Promise<void> {
    const peer = await this.#served.client();
    const first = this.#request();
    const withFirst = this.#random.chance(0.5);
    const rubbish = this.#random.one([
      "\0\0\0",
      "GET / HTTP/1.1\r\n\r\n",
      " x",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ]);
    await this.#send(peer, `${withFirst ? first.text : ""}${rubbish}`);
    if (!withFirst || (await this.#check(peer, first))) {
      expect([400, 502, 503]).toContain(statusOf(await peer.takeAnswer()));
    }
    await peer.untilEnded();
    this.#leave(peer);
  }

  /** Reads nothing for a while. */
  async #dawdle(): Promise<void> {
    const peer = await this.#served.client();
    peer.socket.pause();
    const all = Array.from({ length: 3 }, () => this.#request());
    peer.send(all.map(({ text }) => text).join(""));
    await turns(this.#random.below(60));
    peer.socket.resume();
    for (const asked of all) if (!(await this.#check(peer, asked))) break;
    this.#leave(peer);
  }

  async #upgrade(): Promise<void> {
    const peer = await this.#served.client();
    const early = this.#random.chance(0.5) ? "early" : "";
    peer.send(
      `GET /up HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n${early}`,
    );
    let head = "";
    while (head === "" || head.includes(" 103 ")) {
      await until(() => peer.text.includes("\r\n\r\n") || peer.over, "the answer to an upgrade");
      if (!peer.text.includes("\r\n\r\n")) return this.#leave(peer);
      head = await peer.takeHead();
    }
    if (head.startsWith("HTTP/1.1 101")) await this.#echoed(peer, early);
    this.#leave(peer);
  }

  async #relay(): Promise<void> {
    const peer = await this.#served.tcpClient();
    await this.#echoed(peer, "");
    this.#leave(peer);
  }

  /** Everything that comes back is the beginning of what was sent; all of it, unless it was cut. */
  async #echoed(peer: Peer, before: string): Promise<void> {
    let sent = before;
    for (let i = this.#random.below(4); i >= 0; i--) {
      const text = patternOf(++this.#seed, this.#random.one([1, 100, 50_000]));
      sent += text;
      peer.send(text);
      await turns(this.#random.below(4));
    }
    if (this.#random.chance(0.2)) return peer.reset();
    peer.end();
    await peer.untilEnded();
    expect(sent.startsWith(peer.text), "an echo came back changed").toBe(true);
  }

  async #change(): Promise<void> {
    const { worker, backends } = this.#served;
    const random = this.#random;
    const addresses = backends.map(({ address }) => address);
    const one = random.one(addresses);
    if (random.chance(0.3)) {
      await worker.replace({
        routes: [routeOf("all", "*"), routeOf("relay", worker.tcpPort)],
        backends: addresses.map((address) => backendOf("web", address)),
      });
    } else if (random.chance(0.5)) {
      await worker.change({ kind: "backend-removed", ...backendOf("web", one) });
      await turns(random.below(5));
      await worker.change({ kind: "backend-put", backend: backendOf("web", one) });
    } else {
      const n = random.below(20);
      await worker.change(putRoute(`r${n}`, `h${n}.test`));
    }
  }

  #leave(peer: Peer): void {
    if (this.#random.chance(0.5)) peer.socket.destroy();
    else peer.end();
  }
}

test.for(seeds)(
  "after chaos nothing is open and nothing was wrong, seed %i",
  { timeout: 60_000 },
  async (seed) => {
    const random = new SeededRandom(seed);
    // A TCP connection's first bytes are no request: the pattern begins with a digit.
    const script = async (peer: Peer): Promise<void> => {
      await until(() => peer.text !== "" || peer.over, "a request");
      if (/^\d/.test(peer.text)) await echo(peer, random);
      else await chaosBackend(peer, random);
    };
    const served = await serve({
      scripts: [script, script, script],
      limits: {
        responseHeadMsMax: 250,
        bodyIdleMsMax: 400,
        requestHeadMsMax: 400,
        tunnelIdleMsMax: 1_000,
        lingerMsMax: 200,
        upstreamIdleMsMax: 100,
      },
      settings: { accessLog: true },
    });
    const crowd = new Crowd(served, random);
    await crowd.run();
    expect(crowd.whole).toBeGreaterThan(operations / 4);
    const { worker } = served;
    await until(
      () => Object.keys(worker.open()).length === 0,
      () => `nothing to be open; still ${JSON.stringify(worker.open())}`,
    );
    expect((await worker.measures()).map(({ inFlight }) => inFlight)).toEqual([0, 0, 0]);
    // One line for each request and each TCP connection.
    const tcp = () => worker.lines.filter((line) => line["protocol"] === "tcp").length;
    await until(
      () => worker.lines.length - tcp() === worker.counter("requestsTotal"),
      () => `${worker.counter("requestsTotal")} lines; there are ${worker.lines.length - tcp()}`,
    );
  },
);
