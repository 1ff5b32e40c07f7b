// The clients of the adapters' soak: keep-alive connections that ask in bursts, each for so long, some of which misbehave.
// Every answer must be that of its own request, byte for byte; whatever is missing must have a reason that was put in.

import { connect, type Socket } from "node:net";
import type { SeededRandom } from "./seeded-random.ts";
import {
  type BackendFault,
  framingField,
  mayCut,
  messageBytes,
  planOf,
  type SoakPlan,
} from "./soak-plan.ts";
import { type Expected, fieldIn, SoakReader } from "./soak-reader.ts";

export interface ClientFigures {
  asked: number;
  /** Whole answers of backends, right byte for byte. */
  answered: number;
  /** The router's own answers instead, to requests whose backend cut them. */
  refused: number;
  /** The same, to requests whose backend did nothing: they met a connection that its backend had just ended. */
  lostRaces: number;
  /** Half answers, or none, of backends that cut them. */
  cut: number;
  /** What was asked behind one of those, on its connection. */
  behind: number;
  /** What a client asked that broke off itself. */
  leftOut: number;
  connections: number;
  faults: number;
  wrong: string[];
}

export interface CrowdOptions {
  readonly port: number;
  readonly host: string;
  readonly seed: number;
  readonly requests: number;
  readonly connections: number;
  readonly pattern: Buffer;
  readonly random: SeededRandom;
}

type ClientFault =
  | "none"
  | "reset-asking" // resets within a request
  | "reset-answered" // resets when the first bytes of an answer are there
  | "close-answered" // closes then, which is a reset for what is on its way
  | "half-close" // ends its side behind its requests, and reads on
  | "stall-reading"
  | "stall-asking"
  | "split"; // sends the first bytes one by one

const faults: readonly ClientFault[] = [
  "reset-asking",
  "reset-answered",
  "close-answered",
  "half-close",
  "stall-reading",
  "stall-asking",
  "split",
];
const faultyShare = 0.25;
const splitBytes = 200;
const burstMax = 16;
const burstBytesMax = 128 * 1024;
const burstsMax = 60;
/** Nothing of an answer for so long: it does not come. */
const stuckMs = 30_000;
const wrongMax = 20;

export class SoakCrowd {
  readonly figures: ClientFigures = {
    asked: 0,
    answered: 0,
    refused: 0,
    lostRaces: 0,
    cut: 0,
    behind: 0,
    leftOut: 0,
    connections: 0,
    faults: 0,
    wrong: [],
  };
  readonly options: CrowdOptions;
  /** Every client reads into it; what is read is looked at before the next read. */
  readonly received = Buffer.allocUnsafeSlow(64 * 1024);
  readonly #open = new Set<SoakClient>();
  readonly #done = Promise.withResolvers<void>();

  constructor(options: CrowdOptions) {
    this.options = options;
  }

  /** Resolves when all was asked and every connection is gone. */
  async run(): Promise<void> {
    for (let i = 0; i < this.options.connections; i++) this.#connect();
    const watch = setInterval(() => this.#lookForStuck(), 5_000);
    await this.#done.promise;
    clearInterval(watch);
  }

  get isOver(): boolean {
    return this.figures.asked >= this.options.requests || this.figures.wrong.length >= wrongMax;
  }

  note(wrong: string): void {
    if (this.figures.wrong.length < wrongMax) this.figures.wrong.push(wrong);
  }

  gone(client: SoakClient): void {
    this.#open.delete(client);
    if (!this.isOver) this.#connect();
    else if (this.#open.size === 0) this.#done.resolve();
  }

  #connect(): void {
    this.figures.connections++;
    this.#open.add(new SoakClient(this));
  }

  #lookForStuck(): void {
    for (const client of this.#open) client.lookForStuck();
  }
}

class SoakClient {
  readonly #crowd: SoakCrowd;
  readonly #socket: Socket;
  readonly #reader: SoakReader;
  readonly #fault: ClientFault;
  #burstsLeft: number;
  #faultAt: number;
  /** Asked and not answered, in order. */
  readonly #waiting: SoakPlan[] = [];
  #isOwn = false;
  /** Why the router may end this connection; "": there is no reason. */
  #reason = "";
  /** Of the request that was answered last. */
  #lastFault: BackendFault = "none";
  #hasLeft = false;
  #isFaulty = false;
  #lastMs = performance.now();

  constructor(crowd: SoakCrowd) {
    const { port, pattern, random } = crowd.options;
    this.#crowd = crowd;
    this.#burstsLeft = 1 + random.below(burstsMax);
    this.#fault = random.chance(faultyShare) ? random.one(faults) : "none";
    this.#faultAt = this.#fault === "none" ? -1 : random.below(Math.min(20, this.#burstsLeft));
    this.#reader = new SoakReader(pattern, {
      head: (text) => this.#head(text),
      whole: () => this.#whole(),
    });
    const onread = {
      buffer: crowd.received,
      callback: (count: number) => this.#read(crowd.received.subarray(0, count)),
    };
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true, onread });
    this.#socket.on("error", () => undefined);
    this.#socket.on("end", () => this.#socket.end());
    this.#socket.on("close", () => this.#closed());
    this.#socket.once("connect", () => this.#burst());
  }

  lookForStuck(): void {
    if (performance.now() - this.#lastMs < stuckMs) return;
    this.#crowd.note(
      `request ${this.#waiting[0]?.id}: nothing for ${stuckMs} ms, ${this.#words()}`,
    );
    this.#leave(true);
  }

  #words(): string {
    const client = this.#isFaulty ? this.#fault : "as it should be";
    const within = this.#reader.isWithin ? ", within a message" : "";
    return `${this.#waiting.length} waiting behind ${this.#lastFault}${within}, client ${client}`;
  }

  /** Asks some at once, or leaves. */
  #burst(): void {
    const { options, figures, isOver } = this.#crowd;
    const { random, seed } = options;
    // Behind a fault there is nothing more to ask but of those who only were slow.
    const isDone = this.#isFaulty && this.#fault === "half-close";
    if (isDone) return;
    if (this.#burstsLeft-- === 0 || isOver) return this.#leave(random.chance(0.2));
    const depth = random.chance(0.5) ? 1 : 2 + random.below(burstMax - 1);
    const pieces: Buffer[] = [];
    let length = 0;
    for (let i = 0; i < depth && length < burstBytesMax && figures.asked < options.requests; i++) {
      const plan = planOf(seed, figures.asked++);
      const piece = requestBytes(plan, options);
      this.#waiting.push(plan);
      pieces.push(piece);
      length += piece.length;
    }
    const bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, length);
    if (this.#faultAt-- === 0) this.#sendFaulty(bytes);
    else this.#socket.write(bytes);
  }

  #sendFaulty(bytes: Buffer): void {
    const { random } = this.#crowd.options;
    const socket = this.#socket;
    const middle = random.below(bytes.length);
    this.#crowd.figures.faults++;
    this.#isFaulty = true;
    switch (this.#fault) {
      case "reset-asking":
        socket.write(bytes.subarray(0, middle), () => this.#leave(true));
        return;
      case "half-close":
        socket.end(bytes);
        return;
      case "stall-reading":
        socket.write(bytes);
        socket.pause();
        setTimeout(() => socket.resume(), 50 + random.below(1_500));
        return;
      case "stall-asking":
        socket.write(bytes.subarray(0, middle));
        setTimeout(() => socket.write(bytes.subarray(middle)), 20 + random.below(1_000));
        return;
      case "split":
        return this.#sendEach(bytes, 0);
      default:
        socket.write(bytes);
    }
  }

  #sendEach(bytes: Buffer, at: number): void {
    if (this.#socket.destroyed) return;
    if (at >= splitBytes || at >= bytes.length) {
      this.#socket.write(bytes.subarray(at));
      return;
    }
    this.#socket.write(bytes.subarray(at, at + 1));
    setImmediate(() => this.#sendEach(bytes, at + 1));
  }

  #read(bytes: Buffer): boolean {
    this.#lastMs = performance.now();
    if (this.#hasLeft) return true;
    if (this.#isFaulty && this.#fault === "reset-answered") this.#leave(true);
    else if (this.#isFaulty && this.#fault === "close-answered") this.#leave(false);
    else {
      try {
        this.#reader.read(bytes);
      } catch (error) {
        this.#crowd.note(`request ${this.#waiting[0]?.id}: ${String(error)}, ${this.#words()}`);
        this.#leave(true);
      }
    }
    return true;
  }

  #head(text: string): Expected {
    const [plan] = this.#waiting;
    if (plan === undefined) throw new Error(`an answer to nobody: ${text}`);
    const status = Number(text.slice(9, 12));
    const head = text.toLowerCase();
    const own = fieldIn(head, "x-crosspoint-reason");
    this.#isOwn = own !== "";
    if (fieldIn(head, "connection") === "close") this.#reason = own || plan.fault;
    const framing = fieldIn(head, "transfer-encoding") === "chunked" ? "chunked" : "length";
    const length = Number(fieldIn(head, "content-length"));
    if (this.#isOwn) {
      checkOwn(plan, status, own);
      return { framing, length, body: undefined };
    }
    const answers = fieldIn(head, "x-id");
    if (Number(answers) !== plan.id) throw new Error(`the answer to request ${answers}`);
    const { answer } = plan;
    if (status !== (answer.framing === "none" ? 204 : 200)) throw new Error(`status ${status}`);
    return { framing: answer.framing === "none" ? "none" : framing, length, body: answer };
  }

  #whole(): void {
    const { figures } = this.#crowd;
    const { fault } = this.#waiting.shift()!;
    this.#lastFault = fault;
    if (!this.#isOwn) figures.answered++;
    else if (mayCut(fault)) figures.refused++;
    else figures.lostRaces++;
    if (this.#waiting.length === 0 && this.#reason === "" && !this.#hasLeft) this.#burst();
  }

  #leave(reset: boolean): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    if (reset) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  #closed(): void {
    if (!this.#hasLeft) this.#reader.end();
    const { figures } = this.#crowd;
    const [first] = this.#waiting;
    const { length } = this.#waiting;
    if (this.#hasLeft) figures.leftOut += length;
    else if (this.#reason !== "" && this.#reason !== "none") figures.behind += length;
    // An answer in chunks that is whole before its request is ends the connection, unannounced.
    else if (this.#lastFault.startsWith("early")) figures.behind += length;
    else if (first === undefined) {
      // Whoever has ended its side is left when all is said.
      if (!(this.#isFaulty && this.#fault === "half-close"))
        this.#crowd.note(`a connection was ended for no reason (${this.#reason})`);
    } else if (mayCut(first.fault)) {
      figures.cut++;
      figures.behind += length - 1;
    } else {
      const { id, fault } = first;
      this.#crowd.note(`request ${id}: broken off, planned is ${fault}, ${this.#words()}`);
    }
    this.#crowd.gone(this);
  }
}

/** The router says itself that the backend has gone: only where one has. */
function checkOwn({ fault }: SoakPlan, status: number, reason: string): void {
  if (status !== 502 || !/^backend-(?:closed|malformed)/.test(reason))
    throw new Error(`${status} ${reason}, planned is ${fault}`);
}

function requestBytes(plan: SoakPlan, { host, pattern }: CrowdOptions): Buffer {
  const { id, method, request, cut } = plan;
  const head = `${method} /${id} HTTP/1.1\r\nHost: ${host}\r\n${framingField(request)}\r\n`;
  return messageBytes(head, request, pattern, cut);
}
