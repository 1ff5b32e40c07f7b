// The client of the HTTP cases: sends octets, collects answers until nothing more is to be expected.

import { connect } from "node:net";
import { readStrict, type StrictMessage, statusOf } from "./strict-http.ts";

export interface Observed {
  /** Final answers (200 and up), complete or not, in order. */
  readonly finals: readonly StrictMessage[];
  readonly interims: number;
  /** The router closed the connection. */
  readonly closed: boolean;
  /** Everything received, as latin1 text. */
  readonly text: string;
}

/** An answer counts as missing after this time, in ms. */
const answerMsMax = 1600;
/** After the last answer that was expected, one more may come within this time, in ms. */
const moreMs = 40;

/** Sends `bytes` on a new connection; waits for `answers` complete final answers, and for the end if told. */
export function exchange(options: {
  readonly port: number;
  readonly bytes: string;
  readonly answers: number;
  readonly awaitClose?: boolean;
}): Promise<Observed> {
  return new Promise((resolve) => {
    const socket = connect({
      port: options.port,
      host: "127.0.0.1",
      noDelay: true,
      allowHalfOpen: true,
    });
    let text = "";
    let closed = false;
    const timeout = setTimeout(settle, answerMsMax);
    let more: NodeJS.Timeout | undefined;
    function settle(): void {
      clearTimeout(timeout);
      clearTimeout(more);
      socket.destroy();
      resolve({ ...readAnswers(text, options.bytes, closed), closed, text });
    }
    socket.on("connect", () => socket.write(options.bytes, "latin1"));
    socket.on("data", (data) => {
      text += data.toString("latin1");
      const { finals } = readAnswers(text, options.bytes, false);
      const complete = finals.filter((answer) => answer.complete).length;
      if (options.awaitClose === true || complete < options.answers) return;
      clearTimeout(more);
      more = setTimeout(settle, moreMs);
    });
    socket.on("error", () => socket.destroy());
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        closed = true;
        settle();
      });
    }
  });
}

function readAnswers(
  text: string,
  sent: string,
  ended: boolean,
): { finals: StrictMessage[]; interims: number } {
  const finals: StrictMessage[] = [];
  let interims = 0;
  let rest = text;
  for (;;) {
    const bodiless = finals.length === 0 && sent.startsWith("HEAD ");
    const message = readStrict(rest, "response", { bodiless, ended });
    if (message === undefined) return { finals, interims };
    if (message.complete && statusOf(message) < 200) interims++;
    else finals.push(message);
    if (!message.complete) return { finals, interims };
    rest = rest.slice(message.length);
  }
}
