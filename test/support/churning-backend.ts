// A backend that is killed and started again at its address, and counts which request it has executed, by its id. The
// counts live outside: they survive every kill.

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, Server as NetServer, type Socket } from "node:net";

/** Executions by the field X-Id. */
export type Executions = Map<string, number>;

export class ChurningBackend {
  readonly port: number;
  readonly #executions: Executions;
  #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, executions: Executions) {
    this.#server = server;
    this.#executions = executions;
    this.port = (server.address() as AddressInfo).port;
    this.#serve(server);
  }

  static async start(executions: Executions): Promise<ChurningBackend> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new ChurningBackend(server, executions);
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Every socket is closed at once, as the kernel does for a process that is gone. */
  async kill(): Promise<void> {
    const closed = once(this.#server, "close");
    // The listening socket first, as it has the lower number; http's own close would end idle connections before.
    NetServer.prototype.close.call(this.#server);
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async restart(): Promise<void> {
    this.#server = createServer();
    this.#serve(this.#server);
    this.#server.listen(this.port, "127.0.0.1");
    await once(this.#server, "listening");
  }

  #serve(server: Server): void {
    server.keepAliveTimeout = 60_000;
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      request.resume();
      request.on("error", () => response.destroy());
      request.on("end", () => this.#execute(request, response));
    });
  }

  #execute(request: IncomingMessage, response: ServerResponse): void {
    const id = String(request.headers["x-id"]);
    this.#executions.set(id, (this.#executions.get(id) ?? 0) + 1);
    // A turn between doing and saying: kills fall in between, too.
    setImmediate(() => response.end(id));
  }
}
