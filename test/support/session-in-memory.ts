// One client connection on recorded streams, from its first octet to its end, however both sides cut what they send:
// what its backends got whole, and what the client was told.
//
// Backends answer when the client has sent everything, and has ended its side unless it waits: what is answered when
// does not depend on the pieces.

import type { WorkerSettings } from "../../src/channel/messages.ts";
import { responseHeadMsMax } from "../../src/limits.ts";
import type { Change } from "../../src/model/change.ts";
import { recordedSession } from "./recorded-session.ts";
import type { RecordingStream } from "./recording-stream.ts";
import { readStrict, type StrictMessage, statusOf } from "./strict-http.ts";

export interface Talk {
  /** What the client sends, latin1. */
  readonly text: string;
  /** Ends of its pieces. */
  readonly cuts?: readonly number[];
  /** What a backend answers to each request. */
  readonly answer?: string;
  readonly answerCuts?: readonly number[];
  /** The backend ends its side behind the answer. */
  readonly answerEnds?: boolean;
  /** The client does not end its side: it waits for the answer until the router has lost its patience. */
  readonly waits?: boolean;
  readonly settings?: Partial<WorkerSettings>;
  readonly changes?: readonly Change[];
}

export interface Heard {
  /** Whole requests, in the order in which backends got them, and where. */
  readonly requests: readonly (StrictMessage & { readonly to: string })[];
  /** What the client got, whole or not. */
  readonly answers: readonly StrictMessage[];
  /** What a strict reader objects to, on either side. */
  readonly violations: readonly string[];
  /** Connections to backends that were kept for further requests. */
  readonly kept: number;
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

export function talk(it: Talk): Heard {
  const { stream, dialled, session, pass } = recordedSession({}, it.settings, it.changes);
  const { text, cuts = [text.length], answer = okAnswer } = it;
  const { answerCuts = [answer.length], answerEnds = false, waits = false } = it;
  const requests: (StrictMessage & { to: string })[] = [];
  const violations: string[] = [];
  const taken = new Map<RecordingStream, number>();
  const deliver = (upstream: RecordingStream): boolean => {
    const used = taken.get(upstream) ?? 0;
    const message = readStrict(upstream.text.slice(used), "request");
    if (message === undefined || !message.complete || upstream.calls.length > 0) return false;
    violations.push(...message.violations);
    taken.set(upstream, used + message.length);
    requests.push({ ...message, to: dialled.find((one) => one === upstream)?.to ?? "" });
    for (const piece of piecesOf(answer, answerCuts)) {
      if (upstream.calls.length === 0) upstream.receive(piece);
    }
    if (answerEnds && upstream.calls.length === 0) upstream.events.onEnd();
    return true;
  };
  for (const piece of piecesOf(text, cuts)) stream.receive(piece);
  if (!waits) session.onEnd();
  const connected = new Set<RecordingStream>();
  for (let moved = true; moved; ) {
    moved = false;
    for (const upstream of dialled) {
      if (!connected.has(upstream) && upstream.calls.length === 0) {
        connected.add(upstream);
        upstream.events.onConnect();
        moved = true;
      }
      if (deliver(upstream)) moved = true;
    }
  }
  const isOver = answersIn(stream.text, requests).some(isWholeFinal);
  if (waits && !isOver) pass(responseHeadMsMax + 1_000);
  for (const upstream of dialled) {
    const rest = readStrict(upstream.text.slice(taken.get(upstream) ?? 0), "request");
    violations.push(...(rest?.violations ?? []));
  }
  const answers = answersIn(stream.text, requests);
  for (const message of answers) violations.push(...message.violations);
  const kept = [...connected].filter(({ calls }) => calls.length === 0).length;
  return { requests, answers, violations, kept };
}

const isWholeFinal = (message: StrictMessage): boolean =>
  message.complete && statusOf(message) >= 200;

export function piecesOf(text: string, cuts: readonly number[]): string[] {
  return cuts.map((end, index) => text.slice(cuts[index - 1] ?? 0, end));
}

function answersIn(text: string, requests: readonly StrictMessage[]): StrictMessage[] {
  const answers: StrictMessage[] = [];
  let rest = text;
  let finals = 0;
  for (;;) {
    const bodiless = requests[finals]?.startLine.startsWith("HEAD ") === true;
    const message = readStrict(rest, "response", { bodiless, ended: true });
    if (message === undefined) return answers;
    answers.push(message);
    if (!message.complete) return answers;
    if (statusOf(message) >= 200) finals++;
    rest = rest.slice(message.length);
  }
}
