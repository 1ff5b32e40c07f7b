// A backend that holds whatever it gets until it is told to go on: requests wait for their answer, connections after an
// Upgrade and TCP connections stay open and echo.

import { once } from "node:events";
import { createServer as createHttpServer, type ServerResponse } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { until } from "./until.ts";

export class PatientBackend {
  /** Requests whose answer waits. */
  readonly waiting: ServerResponse[] = [];
  /** Connections that are open and not idle HTTP ones. */
  readonly lasting = new Set<Socket>();
  readonly #server: Server;

  /** Ends with the test. */
  static async http(): Promise<PatientBackend> {
    const server = createHttpServer();
    const backend = new PatientBackend(server);
    server.keepAliveTimeout = 60_000;
    server.on("request", (_request, response) => backend.waiting.push(response));
    server.on("upgrade", (_request, duplex) => {
      const socket = duplex as Socket;
      backend.#keep(socket);
      socket.write(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n",
      );
      socket.pipe(socket);
    });
    return await backend.#listen(() => server.closeAllConnections());
  }

  /** Ends with the test. */
  static async tcp(): Promise<PatientBackend> {
    const backend: PatientBackend = new PatientBackend(
      createServer((socket) => {
        backend.#keep(socket);
        socket.pipe(socket);
      }),
    );
    return await backend.#listen(() => {});
  }

  private constructor(server: Server) {
    this.#server = server;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** HTTP connections that are open, idle ones too. */
  connections(): Promise<number> {
    return new Promise((resolve) => this.#server.getConnections((_error, count) => resolve(count)));
  }

  async asked(requests = 1): Promise<void> {
    await until(() => this.waiting.length >= requests, `${requests} requests`);
  }

  /** Answers all that wait. */
  answer(body = "late but whole"): void {
    for (const response of this.waiting.splice(0)) response.end(body);
  }

  #keep(socket: Socket): void {
    this.lasting.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.lasting.delete(socket));
  }

  async #listen(cut: () => void): Promise<this> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    onTestFinished(() => {
      this.#server.close();
      cut();
      for (const socket of this.lasting) socket.destroy();
    });
    return this;
  }
}
