// What becomes of a request of the adapters' soak, all of it made from the seed and the request's number: so the client
// and the backend agree without a word, and a body is checked by comparing it with a part of a pattern.

import { SeededRandom } from "./seeded-random.ts";

/** What a backend does to the connection while it answers. */
export type BackendFault =
  | "none"
  | "reset-before" // resets when the request is there; only the first time
  | "reset-within" // resets in the middle of the answer
  | "close-within" // ends in the middle of the answer
  | "stall" // stops for a while in the middle
  | "split" // sends the first bytes one by one
  | "early" // answers before the body is there, and reads on
  | "early-close" // the same, and ends at once
  | "idle-close" // ends the connection behind a whole answer, unannounced
  | "close"; // announces that, and ends it

export type Framing = "none" | "length" | "chunked" | "until-close";

/** A part of the pattern. */
export interface PlannedBody {
  readonly at: number;
  readonly size: number;
  readonly framing: Framing;
}

export interface SoakPlan {
  readonly id: number;
  readonly method: "GET" | "POST" | "PUT";
  readonly request: PlannedBody;
  readonly answer: PlannedBody;
  readonly fault: BackendFault;
  /** ms of a stall; and where chunks and pieces are cut. */
  readonly pauseMs: number;
  readonly cut: number;
}

const bodyBytesMax = 64 * 1024;
const faults: readonly BackendFault[] = [
  "reset-before",
  "reset-within",
  "close-within",
  "stall",
  "split",
  "early",
  "early-close",
  "idle-close",
  "close",
];
/** Requests in a thousand whose backend does something to them. */
const faultyPerMille = 25;
const cutting: ReadonlySet<BackendFault> = new Set([
  "reset-before",
  "reset-within",
  "close-within",
  "early-close",
]);

/** The octets that all bodies are parts of. */
export function patternOf(seed: number): Buffer {
  const random = new SeededRandom(seed);
  const bytes = Buffer.alloc(2 * bodyBytesMax);
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(random.below(2 ** 32), at);
  return bytes;
}

/** The same for the same seed and number. */
export function planOf(seed: number, id: number): SoakPlan {
  let state = mixed(Math.imul(id, 0x9e3779b1) ^ seed);
  const below = (bound: number): number => {
    state = mixed(state + 0x6d2b79f5);
    return state % bound;
  };
  const body = (framing: Framing): PlannedBody => ({
    framing,
    size: framing === "none" ? 0 : sizeOf(below),
    at: below(bodyBytesMax),
  });
  const kind = below(100);
  const method = kind < 60 ? "GET" : kind < 90 ? "POST" : "PUT";
  const request = body(method === "GET" ? "none" : below(3) === 0 ? "chunked" : "length");
  const fault = below(1_000) < faultyPerMille ? faults[below(faults.length)]! : "none";
  const answer = body(answerFraming(below(100), fault));
  return { id, method, request, answer, fault, pauseMs: 20 + below(480), cut: 1 + below(5_000) };
}

/** Whether this fault may leave the client with half an answer, or with the router's own. */
export function mayCut(fault: BackendFault): boolean {
  return cutting.has(fault);
}

function answerFraming(dice: number, fault: BackendFault): Framing {
  // Nobody can tell half a body that ends with the connection from a whole one.
  if (mayCut(fault) && dice < 3) return "chunked";
  if (dice === 0) return "until-close";
  if (dice < 3) return "none";
  return dice < 40 ? "chunked" : "length";
}

/** Most are small, some are as large as they may be. */
function sizeOf(below: (bound: number) => number): number {
  const dice = below(100);
  if (dice < 50) return below(200);
  if (dice < 85) return below(2_000);
  return below(dice < 97 ? 12_000 : bodyBytesMax + 1);
}

/** murmur3's finalizer. */
function mixed(value: number): number {
  let n = value | 0;
  n = Math.imul(n ^ (n >>> 16), 0x85ebca6b);
  n = Math.imul(n ^ (n >>> 13), 0xc2b2ae35);
  return (n ^ (n >>> 16)) >>> 0;
}

/** A whole message: its head as given, then its body in its framing. */
export function messageBytes(
  head: string,
  { framing, at, size }: PlannedBody,
  pattern: Buffer,
  cut: number,
): Buffer {
  if (framing !== "chunked") {
    const bytes = Buffer.allocUnsafe(head.length + size);
    bytes.write(head, 0, "latin1");
    pattern.copy(bytes, head.length, at, at + size);
    return bytes;
  }
  const chunks = Math.ceil(size / cut);
  const bytes = Buffer.allocUnsafe(head.length + size + 10 * chunks + 5);
  let end = bytes.write(head, 0, "latin1");
  for (let from = 0; from < size; from += cut) {
    const length = Math.min(cut, size - from);
    end += bytes.write(`${length.toString(16)}\r\n`, end, "latin1");
    end += pattern.copy(bytes, end, at + from, at + from + length);
    end += bytes.write("\r\n", end, "latin1");
  }
  end += bytes.write("0\r\n\r\n", end, "latin1");
  return bytes.subarray(0, end);
}

/** The line of a head that says so; "" for none and for one that ends with the connection. */
export function framingField({ framing, size }: PlannedBody): string {
  if (framing === "chunked") return "Transfer-Encoding: chunked\r\n";
  return framing === "length" ? `Content-Length: ${size}\r\n` : "";
}
