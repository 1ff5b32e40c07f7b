// Clients that stream both ways at once: Node's, curl, Python's http.client. Each sends pieces in step with their echo,
// sends and receives in bulk at the same time, and takes server-sent events; and notes what was late or wrong.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { StringDecoder } from "node:string_decoder";

/** A piece that takes longer is missing, in ms. */
const pieceMsMax = 20_000;

export interface StreamingTarget {
  readonly port: number;
  readonly host: string;
}

export interface StreamingPlan {
  /** Of an upload, each of up to 3,000 bytes; the next leaves when the echo of the last is there. */
  readonly pieces: number;
  readonly bulkBytes: number;
  readonly events: number;
  readonly everyMs: number;
}

export interface StreamingFigures {
  /** From a piece's leaving to its echo's last byte. */
  readonly echoMs: readonly number[];
  /** Of the pieces and of the bulk: that differ, are missing or too many. */
  readonly wrongBytes: number;
  /** From an event's leaving the backend to its being whole at the client. */
  readonly eventMs: readonly number[];
}

export type StreamingClient = (
  target: StreamingTarget,
  plan: StreamingPlan,
) => Promise<StreamingFigures>;

export const streamingClients: Readonly<Record<"node" | "curl" | "python", StreamingClient>> = {
  node: (target, plan) => stream(plan, (path) => exchangeOfNode(target, path)),
  curl: (target, plan) => stream(plan, (path) => exchangeOfCurl(target, path)),
  python: streamWithPython,
};

/** Both directions of one request, and how it ended. */
interface Exchange {
  readonly upload: Writable;
  readonly answer: Readable;
  /** Rejects when the client says that something was wrong. */
  readonly end: () => Promise<void>;
}

async function stream(
  { pieces, bulkBytes, events, everyMs }: StreamingPlan,
  open: (path: string) => Promise<Exchange>,
): Promise<StreamingFigures> {
  const inStep = await echoInStep(await open("/echo"), pieces);
  const bulkWrong = await echoAtOnce(await open("/echo"), bulkBytes);
  const eventMs = await takeEvents(await open(`/events?count=${events}&every=${everyMs}`));
  return { echoMs: inStep.echoMs, wrongBytes: inStep.wrongBytes + bulkWrong, eventMs };
}

async function exchangeOfNode({ port, host }: StreamingTarget, path: string): Promise<Exchange> {
  const method = path === "/echo" ? "POST" : "GET";
  const options = { port, host: "127.0.0.1", path, method, headers: { host }, agent: false };
  const upload = request(options);
  upload.setTimeout(pieceMsMax, () => upload.destroy(new Error("nothing came for a while")));
  // The head of the answer comes before anything of the body has left.
  if (method === "POST") upload.flushHeaders();
  else upload.end();
  const [answer] = (await once(upload, "response")) as [IncomingMessage];
  if (answer.statusCode !== 200) throw new Error(`answered with ${answer.statusCode}`);
  return { upload, answer, end: async () => undefined };
}

async function exchangeOfCurl({ port, host }: StreamingTarget, path: string): Promise<Exchange> {
  const upload = path === "/echo" ? ["-T", "."] : [];
  const words = ["-sSfN", "-H", `Host: ${host}`, ...upload, `http://127.0.0.1:${port}${path}`];
  const child = spawn("curl", words, { stdio: ["pipe", "pipe", "pipe"] });
  const ended = once(child, "close");
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  return {
    upload: child.stdin,
    answer: child.stdout,
    async end() {
      await ended;
      if (child.exitCode !== 0)
        throw new Error(`curl ended with ${child.exitCode}: ${said.slice(-200)}`);
    },
  };
}

async function streamWithPython(
  { port, host }: StreamingTarget,
  { pieces, bulkBytes, events, everyMs }: StreamingPlan,
): Promise<StreamingFigures> {
  const script = join(import.meta.dirname, "streaming-client.py");
  const words = [port, host, pieces, bulkBytes, events, everyMs].map(String);
  const child: ChildProcess = spawn("python3", [script, ...words], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (piece: string) => (text += piece));
  await ended;
  if (child.exitCode !== 0) throw new Error(`python3 ended with ${child.exitCode}`);
  return JSON.parse(text) as StreamingFigures;
}

/** Whatever waits for an end, or for more, waits for ever. */
async function echoInStep(
  { upload, answer, end }: Exchange,
  pieces: number,
): Promise<Pick<StreamingFigures, "echoMs" | "wrongBytes">> {
  const arrivals = new Arrivals(answer);
  const echoMs: number[] = [];
  let wrongBytes = 0;
  for (let n = 0; n < pieces; n++) {
    const piece = Buffer.from(`${n}-${"x".repeat((n * 397) % 3000)}`);
    const startMs = performance.now();
    upload.write(piece);
    const echo = await arrivals.take(piece.length);
    echoMs.push(performance.now() - startMs);
    for (const [at, byte] of piece.entries()) if (echo[at] !== byte) wrongBytes++;
  }
  upload.end();
  wrongBytes += await arrivals.rest();
  await end();
  return { echoMs, wrongBytes };
}

/** Both directions as fast as they go; byte n is n modulo 251. */
async function echoAtOnce({ upload, answer, end }: Exchange, bulkBytes: number): Promise<number> {
  const sent = pipeline(Readable.from(blocksOf(bulkBytes)), upload);
  let at = 0;
  let wrong = 0;
  for await (const piece of answer as AsyncIterable<Buffer>)
    for (const byte of piece) if (byte !== at++ % 251) wrong++;
  await sent;
  await end();
  return wrong + Math.abs(bulkBytes - at);
}

function* blocksOf(bytes: number): Generator<Buffer> {
  const block = Buffer.from(Uint8Array.from({ length: 251 * 256 }, (_, at) => at % 251));
  for (let at = 0; at < bytes; at += block.length) yield block.subarray(0, bytes - at);
}

async function takeEvents({ answer, end }: Exchange): Promise<number[]> {
  const decoder = new StringDecoder("utf8");
  const ms: number[] = [];
  let text = "";
  for await (const piece of answer as AsyncIterable<Buffer>) {
    text += decoder.write(piece);
    const events = text.split("\n\n");
    text = events.pop() ?? "";
    for (const event of events) {
      const leftNs = BigInt(/^data: (\d+)$/m.exec(event)?.[1] ?? "0");
      ms.push(Number(process.hrtime.bigint() - leftNs) / 1e6);
    }
  }
  await end();
  return ms;
}

/** What has arrived, to be taken piece by piece. */
class Arrivals {
  readonly #source: Readable;
  #bytes = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => undefined;

  constructor(source: Readable) {
    this.#source = source;
    source.on("data", (piece: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, piece]);
      this.#wake();
    });
    for (const event of ["end", "error", "close"])
      source.on(event, () => {
        this.#ended = true;
        this.#wake();
      });
  }

  async take(count: number): Promise<Buffer> {
    const late = setTimeout(() => this.#source.destroy(), pieceMsMax);
    while (this.#bytes.length < count) {
      if (this.#ended)
        throw new Error(
          `only ${this.#bytes.length} of ${count} bytes came, then the end or nothing`,
        );
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    clearTimeout(late);
    const taken = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    return taken;
  }

  /** Bytes until the end. */
  async rest(): Promise<number> {
    const late = setTimeout(() => this.#source.destroy(), pieceMsMax);
    while (!this.#ended) await new Promise<void>((resolve) => (this.#wake = resolve));
    clearTimeout(late);
    return this.#bytes.length;
  }
}
