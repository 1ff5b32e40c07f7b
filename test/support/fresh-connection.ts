// One fresh connection, one exchange, and how it ended: for tests that count misses. Knows just enough HTTP to
// tell a whole answer from a cut one; shares no code with the router.

import { connect, type Socket } from "node:net";

export type Outcome =
  | {
      readonly kind: "answered";
      readonly status: number;
      readonly body: string;
      readonly ms: number;
    }
  /** It never came to a connection: refused or reset during the handshake. */
  | { readonly kind: "refused"; readonly error: string }
  /** Connected, and closed before the whole answer. */
  | { readonly kind: "cut"; readonly error: string }
  /** No end within the time. */
  | { readonly kind: "late" };

export interface FreshOptions {
  /** ms for everything. */
  readonly withinMs?: number;
  readonly onConnect?: () => void;
}

/** GET on a connection of its own. Never rejects. */
export function freshGet(port: number, host: string, options: FreshOptions = {}): Promise<Outcome> {
  const request = `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
  return exchange(port, request, wholeAnswer, options);
}

/** Sends a token to a port and expects `NAME:token`; `body` is the name. Never rejects. */
export function freshEcho(
  port: number,
  token: string,
  options: FreshOptions = {},
): Promise<Outcome> {
  const named = (text: string): Read => {
    const end = text.indexOf(`:${token}\n`);
    return end < 0 ? undefined : { status: 200, body: text.slice(0, end) };
  };
  return exchange(port, `${token}\n`, named, options);
}

type Read = { readonly status: number; readonly body: string } | undefined;

function exchange(
  port: number,
  request: string,
  read: (text: string) => Read,
  { withinMs = 5_000, onConnect = () => {} }: FreshOptions,
): Promise<Outcome> {
  const startMs = performance.now();
  return new Promise((resolve) => {
    const socket: Socket = connect({ port, host: "127.0.0.1", noDelay: true });
    let connected = false;
    let text = "";
    const finish = (outcome: Outcome): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    const timer = setTimeout(() => finish({ kind: "late" }), withinMs);
    const failed = (error: string): void =>
      finish(connected ? { kind: "cut", error } : { kind: "refused", error });
    socket.on("connect", () => {
      connected = true;
      onConnect();
      socket.write(request);
    });
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1");
      const answer = read(text);
      if (answer !== undefined)
        finish({ kind: "answered", ...answer, ms: performance.now() - startMs });
    });
    socket.on("end", () => failed(text === "" ? "closed without an answer" : "half an answer"));
    socket.on("error", (error: NodeJS.ErrnoException) => failed(error.code ?? error.message));
  });
}

/** An answer with Content-Length, once it is all there. */
function wholeAnswer(text: string): Read {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]);
  const length = Number(/\r\ncontent-length: *(\d+)\r\n/i.exec(text.slice(0, headEnd + 2))?.[1]);
  const body = text.slice(headEnd + 4);
  return body.length < length ? undefined : { status, body };
}
