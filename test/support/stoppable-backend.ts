// Backends that really stop: the port is closed and every connection with it, and they can be started again there.
// How many connections were still in use at that moment is what a drain is judged by.

import { once } from "node:events";
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

export class StoppableBackend {
  readonly #make: (backend: StoppableBackend) => Server;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  /** Requests that are not answered, and tunnels that have not ended. */
  busy = 0;

  /** Answers with what it was sent, after `answerMs`; echoes after an Upgrade. */
  static async http(answerMs = 0): Promise<StoppableBackend> {
    return await new StoppableBackend((backend) => {
      const server = createHttpServer((request, response) => {
        backend.#answer(request, response, answerMs);
      });
      server.keepAliveTimeout = 60_000;
      server.on("upgrade", (_request, duplex) => {
        duplex.write(
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n",
        );
        backend.#echo(duplex as Socket);
      });
      return server;
    }).start();
  }

  static async tcp(): Promise<StoppableBackend> {
    return await new StoppableBackend((backend) =>
      createServer({ noDelay: true }, (socket) => backend.#echo(socket)),
    ).start();
  }

  private constructor(make: (backend: StoppableBackend) => Server) {
    this.#make = make;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  async start(): Promise<this> {
    const server = this.#make(this);
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => socket.destroy());
    });
    server.listen({ port: this.#port, host: "127.0.0.1", backlog: 1024 });
    await once(server, "listening");
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    return this;
  }

  /** Answers how much it cut. */
  async stop(): Promise<number> {
    const { busy } = this;
    const server = this.#server;
    if (server === undefined) return 0;
    this.#server = undefined;
    const closed = once(server, "close");
    server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    this.busy = 0;
    return busy;
  }

  #answer(request: IncomingMessage, response: ServerResponse, answerMs: number): void {
    this.busy++;
    response.on("close", () => this.busy--);
    let text = "";
    request.setEncoding("utf8").on("data", (more: string) => (text += more));
    request.on("end", () => {
      if (answerMs === 0) response.end(`echo ${text}`);
      else setTimeout(() => response.end(`echo ${text}`), answerMs);
    });
  }

  #echo(socket: Socket): void {
    this.busy++;
    socket.on("end", () => this.busy--);
    socket.pipe(socket);
  }
}
