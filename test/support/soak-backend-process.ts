// The backends of the adapters' soak, in a process of their own: three ports, every answer and every fault as planned.
// Started by SideProcess with the seed; asked for anything, it says what it has seen.

import { Socket } from "node:net";
import { acceptWatched, watchReadable } from "../../src/io/net/accept-watch.ts";
import { listen, openListener, PeerAddress } from "../../src/io/sockets.ts";
import { SeededRandom } from "./seeded-random.ts";
import { serveParent } from "./side-process.ts";
import { framingField, messageBytes, patternOf, planOf, type SoakPlan } from "./soak-plan.ts";
import { type Expected, fieldIn, SoakReader } from "./soak-reader.ts";

export interface BackendFigures {
  /** Whole requests, right byte for byte. */
  requests: number;
  wrong: string[];
  /** Connections that were ended without a word behind a whole answer: what was sent there then may be lost. */
  idleCloses: number;
  faults: number;
  connections: number;
}

const ports = 3;
const splitBytes = 150;
const seed = Number(process.argv[2] ?? 1);
const pattern = patternOf(seed);
const received = Buffer.allocUnsafeSlow(64 * 1024);
const random = new SeededRandom(seed);
const figures: BackendFigures = {
  requests: 0,
  wrong: [],
  idleCloses: 0,
  faults: 0,
  connections: 0,
};
/** One bit per number: POST requests that were seen, and requests that were reset before their answer. */
const posted = new Uint8Array(2 ** 27 / 8);
const reset = new Uint8Array(2 ** 27 / 8);

/** Whether it was set already; sets it. */
function setBit(bits: Uint8Array, id: number): boolean {
  const was = (bits[id >> 3]! & (1 << (id & 7))) !== 0;
  bits[id >> 3]! |= 1 << (id & 7);
  return was;
}

class BackendConnection {
  readonly #socket: Socket;
  readonly #reader: SoakReader;
  #plan: SoakPlan | undefined;
  #isAnswered = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    figures.connections++;
    this.#reader = new SoakReader(pattern, {
      head: (text) => this.#head(text),
      whole: () => this.#whole(),
    });
    socket.on("end", () => socket.end());
    socket.on("error", () => socket.destroy());
  }

  read(bytes: Buffer): void {
    try {
      this.#reader.read(bytes);
    } catch (error) {
      if (figures.wrong.length < 20)
        figures.wrong.push(`backend, request ${this.#plan?.id}: ${String(error)}`);
      this.#socket.destroy();
    }
  }

  #head(text: string): Expected {
    const [, method, id] = /^([A-Z]+) \/(\d+) HTTP\/1\.1\r\n/.exec(text) ?? [];
    const plan = planOf(seed, Number(id));
    this.#plan = plan;
    this.#isAnswered = false;
    if (plan.method !== method) throw new Error(`${method} instead of ${plan.method}`);
    if (method === "POST" && setBit(posted, plan.id)) throw new Error("a POST came twice");
    if (plan.fault !== "none") figures.faults++;
    if (plan.fault === "early" || plan.fault === "early-close") this.#answer(plan);
    return { ...framingIn(text.toLowerCase()), body: plan.request };
  }

  #whole(): void {
    figures.requests++;
    if (this.#plan !== undefined && !this.#isAnswered) this.#answer(this.#plan);
  }

  #answer(plan: SoakPlan): void {
    this.#isAnswered = true;
    const { answer, fault } = plan;
    const status = answer.framing === "none" ? "204 No Content" : "200 OK";
    const close = fault === "close" || fault === "early-close" || answer.framing === "until-close";
    const head = `HTTP/1.1 ${status}\r\nX-Id: ${plan.id}\r\n${framingField(answer)}${close ? "Connection: close\r\n" : ""}\r\n`;
    const bytes = messageBytes(head, answer, pattern, plan.cut);
    this.#send(plan, bytes);
    if (close && fault !== "stall" && fault !== "split") this.#socket.end();
  }

  #send(plan: SoakPlan, bytes: Buffer): void {
    const socket = this.#socket;
    const middle = 1 + (plan.cut % bytes.length);
    const endsItself = plan.answer.framing === "until-close";
    switch (plan.fault) {
      case "reset-before":
        if (!setBit(reset, plan.id)) return void socket.resetAndDestroy();
        return void socket.write(bytes);
      case "reset-within":
        // What was written is on its way by then.
        socket.write(bytes.subarray(0, middle), () => socket.resetAndDestroy());
        return;
      case "close-within":
        // The whole of it would be no fault.
        return void socket.end(bytes.subarray(0, Math.min(middle, bytes.length - 1)));
      case "stall":
        socket.write(bytes.subarray(0, middle));
        return void setTimeout(() => {
          socket.write(bytes.subarray(middle));
          if (endsItself) socket.end();
        }, plan.pauseMs);
      case "split":
        return this.#sendEach(bytes, 0, endsItself);
      case "idle-close":
        socket.write(bytes);
        if (random.chance(0.5)) return this.#closeIdle(plan, false);
        setTimeout(() => this.#closeIdle(plan, true), random.below(50));
        return;
      default:
        return void socket.write(bytes);
    }
  }

  /** Unless it has been asked again: then it is not idle. What is on its way here meanwhile is lost. */
  #closeIdle(plan: SoakPlan, resets: boolean): void {
    if (this.#plan !== plan || this.#reader.isWithin) return;
    figures.idleCloses++;
    if (resets) this.#socket.resetAndDestroy();
    else this.#socket.end();
  }

  #sendEach(bytes: Buffer, at: number, endsItself: boolean): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    if (at < splitBytes && at < bytes.length) {
      socket.write(bytes.subarray(at, at + 1));
      setImmediate(() => this.#sendEach(bytes, at + 1, endsItself));
      return;
    }
    socket.write(bytes.subarray(at));
    if (endsItself) socket.end();
  }
}

/** Of a head in lower case. */
function framingIn(head: string): Omit<Expected, "body"> {
  if (fieldIn(head, "transfer-encoding") === "chunked") return { framing: "chunked", length: 0 };
  const length = Number(fieldIn(head, "content-length"));
  return { framing: length > 0 ? "length" : "none", length };
}

/** A port where every connection reads into the one buffer: a buffer for each read would cost more than the rest. */
function openPort(): string {
  const { fd, port } = openListener({ address: "127.0.0.1", port: 0 });
  listen(fd, 4_096);
  const peer = new PeerAddress();
  watchReadable(fd, () => {
    for (let got = acceptWatched(fd, peer); got >= 0; got = acceptWatched(fd, peer)) adopt(got);
  });
  return `127.0.0.1:${port}`;
}

function adopt(fd: number): void {
  let connection: BackendConnection | undefined;
  const callback = (count: number): boolean => {
    connection?.read(received.subarray(0, count));
    return true;
  };
  const onread = { buffer: received, callback };
  const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true, onread });
  socket.setNoDelay(true);
  connection = new BackendConnection(socket);
  socket.resume();
}

serveParent(Array.from({ length: ports }, openPort), () => figures);
