// Sends a case in pieces through a running router, and says what came of it, in words that may not
// depend on the pieces: the answers the client got, the requests that a backend got whole.
//
// The router runs in this thread: two turns of the event loop bring a piece to it before the next leaves.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { HttpCase } from "../transcripts/http-cases.ts";
import { readStrict, type StrictMessage, statusOf } from "./strict-http.ts";
import { turns, until } from "./until.ts";

/** The router has answered, or closed, by then, in ms. */
const exchangeMsMax = 4_000;
/** Fields that differ from request to request. */
const ownFields = new Set(["x-request-id", "x-request-start", "date"]);

/** A backend and a client for one exchange after the other. */
export class SplitSockets {
  /** What a strict reader objects to in what the router sent to either side, in the last exchange. */
  objections: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #port: () => number;
  #requests: string[] = [];
  #answer: (socket: Socket) => Promise<void> = async () => {};
  #early = false;

  private constructor(server: Server, port: () => number) {
    this.#server = server;
    this.#port = port;
    server.on("connection", (socket) => this.#accept(socket));
  }

  /** `routerPort` is asked at each exchange: the router is started with this backend's port. */
  static async start(routerPort: () => number): Promise<SplitSockets> {
    const server = createServer({ noDelay: true, allowHalfOpen: true });
    const sockets = new SplitSockets(server, routerPort);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return sockets;
  }

  get backendPort(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  /** What came of the case when its octets were cut at `cuts`; "" for nothing within the time. */
  run(httpCase: HttpCase, cuts: readonly number[]): Promise<string> {
    this.#requests = [];
    this.objections = [];
    this.#early = httpCase.early === true;
    return httpCase.dir === "c2p"
      ? this.#runRequest(httpCase.bytes, cuts)
      : this.#runAnswer(httpCase, cuts);
  }

  /** Nobody answers before everything was sent: what is answered when would depend on the pieces. */
  async #runRequest(text: string, cuts: readonly number[]): Promise<string> {
    const sent = Promise.withResolvers<void>();
    this.#answer = async (socket) => {
      await sent.promise;
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    };
    const client = await this.#connect();
    await sendPieces(client.socket, text, cuts);
    client.socket.end();
    await turns(2);
    sent.resolve();
    await client.ended();
    const isHead = text.startsWith("HEAD ");
    return JSON.stringify([this.#answersIn(client.text, isHead), this.#requests]);
  }

  async #runAnswer(httpCase: HttpCase, cuts: readonly number[]): Promise<string> {
    const { bytes, request = "", after, late } = httpCase;
    const answered = Promise.withResolvers<void>();
    this.#answer = async (socket) => {
      await sendPieces(socket, bytes, cuts);
      if (late !== undefined) socket.write(late, "latin1");
      if (after === "close") socket.end();
      await turns(2);
      answered.resolve();
    };
    const client = await this.#connect();
    client.socket.write(request, "latin1");
    await answered.promise;
    client.socket.end();
    await client.ended();
    return JSON.stringify(this.#answersIn(client.text, request.startsWith("HEAD ")));
  }

  #answersIn(text: string, isHead: boolean): string[] {
    const answers: string[] = [];
    let rest = text;
    let forwarded = 0;
    for (;;) {
      // What a backend answered, it was asked for; of what the router says by itself only the first is known.
      const isOwn = /^[^]*?\r\n\r\n/.exec(rest)?.[0].includes("X-Crosspoint-Reason: ") === true;
      const asked = isOwn ? undefined : this.#requests[forwarded];
      const message = readStrict(rest, "response", {
        bodiless: asked?.startsWith("HEAD ") ?? (isHead && answers.length === 0),
        ended: false,
      });
      if (message === undefined) return answers;
      this.objections.push(...message.violations);
      if (!message.complete) return [...answers, `${message.startLine} and no end`];
      if (!isOwn && statusOf(message) >= 200) forwarded++;
      answers.push(statusOf(message) < 200 ? message.startLine : describe(message));
      rest = rest.slice(message.length);
      // What follows is no HTTP, and the backend's own business.
      if (statusOf(message) === 101) return answers;
    }
  }

  async #connect(): Promise<Client> {
    const socket = connect({
      port: this.#port(),
      host: "127.0.0.1",
      noDelay: true,
      allowHalfOpen: true,
    });
    const client = new Client(socket);
    await once(socket, "connect");
    return client;
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    let text = "";
    let answered: Promise<unknown> = Promise.resolve();
    const answer = (): void => {
      answered = answered.then(() => this.#answer(socket)).catch(() => socket.destroy());
    };
    socket.on("end", () => socket.end());
    socket.on("data", (data) => {
      text += data.toString("latin1");
      for (;;) {
        const message = readStrict(text, "request");
        this.objections.push(...(message?.violations ?? []));
        if (message?.complete !== true) {
          if (this.#early && text.includes("\r\n\r\n")) answer();
          return;
        }
        text = text.slice(message.length);
        this.#requests.push(describe(message));
        answer();
      }
    });
  }
}

class Client {
  readonly socket: Socket;
  text = "";
  #over = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (data) => (this.text += data.toString("latin1")));
    socket.on("error", () => socket.destroy());
    for (const event of ["end", "close"]) socket.on(event, () => (this.#over = true));
  }

  async ended(): Promise<void> {
    await until(
      () => this.#over,
      () => `the end of a connection that got ${JSON.stringify(this.text.slice(0, 200))}`,
      exchangeMsMax,
    );
    this.socket.destroy();
  }
}

async function sendPieces(socket: Socket, text: string, cuts: readonly number[]): Promise<void> {
  let at = 0;
  for (const end of cuts) {
    if (socket.destroyed) return;
    socket.write(text.slice(at, end), "latin1");
    at = end;
    await turns(2);
  }
}

/** A broken body shows how much of it arrived: not compared. */
function describe({ startLine, fields, body, violations }: StrictMessage): string {
  const lines = fields.filter(([name]) => !ownFields.has(name)).map((line) => line.join(": "));
  return [startLine, ...lines, "", body, ...violations].join("\n");
}
