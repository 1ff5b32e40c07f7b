// The admin endpoints: is it alive, is it ready, what does it count, what does it serve.
//
// Knows: HTTP for operators, probes and scrapers, on loopback unless told otherwise. Does not know
// what is being reported: small providers are handed in. Nothing here changes anything.
//
// A browser on this machine can be made to call 127.0.0.1 by a page that rebinds its own name to it.
// So the Host must be a name that no stranger controls: an IP literal, localhost, or the bound
// address; there is no CORS header, and answers are never sniffed, framed or cached.

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isIP } from "node:net";
import { adminConnectionsMax, adminRequestMsMax } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import type { Log } from "../telemetry/log-port.ts";
import { metricsContentType } from "../telemetry/metrics-text.ts";
import { jsonPieces } from "./json-pieces.ts";

/** One thing that is looked at; `detail` says what was found, in words. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

export interface AdminProviders {
  /** /healthz: what is wrong with this node, traffic or not. Every check ok: 200, else 503. */
  readonly health: () => readonly Check[];
  /** /readyz: whether this node should get traffic. */
  readonly ready: () => { readonly ready: boolean; readonly checks: readonly Check[] };
  /** /metrics: Prometheus text. */
  readonly metrics: () => string | Promise<string>;
  /** /snapshot: a value for `jsonPieces`, or JSON text in pieces. */
  readonly snapshot: () => unknown;
}

export interface AdminOptions {
  /** An IP address, or a name that resolves to one of this machine's. */
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  readonly providers: AdminProviders;
  readonly log: Log;
}

export class AdminServer {
  readonly #server: Server;
  readonly #options: AdminOptions;

  /** Rejects "failed-precondition" naming address and port when they cannot be had. */
  static async listen(options: AdminOptions): Promise<AdminServer> {
    const admin = new AdminServer(options);
    const { address, port } = options;
    admin.#server.listen({ host: address, port });
    try {
      await once(admin.#server, "listening");
    } catch (reason) {
      throw listenError(reason, hostPort(address, port));
    }
    admin.#server.on("error", (error) => options.log.error("admin server failed", { error }));
    return admin;
  }

  private constructor(options: AdminOptions) {
    this.#options = options;
    this.#server = createServer({
      maxHeaderSize: 8 * 1024,
      headersTimeout: adminRequestMsMax,
      requestTimeout: adminRequestMsMax,
      keepAliveTimeout: adminRequestMsMax,
      connectionsCheckingInterval: adminRequestMsMax / 4,
    });
    this.#server.maxConnections = adminConnectionsMax;
    // A reader that takes nothing for this long is gone.
    this.#server.setTimeout(adminRequestMsMax);
    this.#server.on("request", (request, response) => {
      this.#answer(request, response).catch((reason: unknown) => {
        options.log.error("admin request failed", { path: request.url, error: reason });
        if (response.headersSent) response.destroy();
        else send(response, 500, "internal error; the log says more\n");
      });
    });
  }

  /** As bound: "127.0.0.1:7071". */
  get address(): string {
    const bound = this.#server.address();
    if (bound === null || typeof bound === "string") return "";
    return hostPort(bound.address, bound.port);
  }

  /** Stops at once; who waits for a long answer is cut. */
  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!isOwnHost(request.headers.host, this.#options.address)) {
      return send(response, 403, "this Host is not one of this node's addresses\n");
    }
    const [path, query = ""] = (request.url ?? "").split("?", 2);
    const endpoint = this.#endpoints.get(path ?? "");
    if (endpoint === undefined) {
      return send(response, 404, `not found; there is ${[...this.#endpoints.keys()].join(", ")}\n`);
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("Allow", "GET, HEAD");
      return send(response, 405, "only GET and HEAD\n");
    }
    await endpoint(response, new URLSearchParams(query).has("verbose"));
  }

  readonly #endpoints = new Map<
    string,
    (response: ServerResponse, verbose: boolean) => void | Promise<void>
  >([
    // That it answers is the proof: the main thread's event loop turns.
    ["/livez", (response) => send(response, 200, "ok\n")],
    [
      "/readyz",
      (response, verbose) => {
        const { ready, checks } = this.#options.providers.ready();
        sendChecks(response, ready, checks, verbose);
      },
    ],
    [
      "/healthz",
      (response, verbose) => {
        const checks = this.#options.providers.health();
        sendChecks(
          response,
          checks.every((check) => check.ok),
          checks,
          verbose,
        );
      },
    ],
    [
      "/metrics",
      async (response) =>
        send(response, 200, await this.#options.providers.metrics(), metricsContentType),
    ],
    ["/snapshot", (response) => sendSnapshot(response, this.#options.providers.snapshot())],
  ]);
}

/** What failed is always listed; all of it when asked. */
function sendChecks(
  response: ServerResponse,
  ok: boolean,
  checks: readonly Check[],
  verbose: boolean,
): void {
  const lines = checks
    .filter((check) => verbose || !check.ok)
    .map((check) => `${check.ok ? "[+]" : "[-]"} ${check.name}: ${printable(check.detail)}\n`);
  send(response, ok ? 200 : 503, `${lines.join("")}${ok ? "ok" : "not ok"}\n`);
}

async function sendSnapshot(response: ServerResponse, snapshot: unknown): Promise<void> {
  writeHead(response, 200, "application/json");
  if (response.req.method === "HEAD") return void response.end();
  for await (const piece of isAsyncText(snapshot) ? snapshot : jsonPieces(snapshot)) {
    if (response.destroyed) return;
    if (!response.write(piece)) await writableOrGone(response);
  }
  response.end("\n");
}

async function writableOrGone(response: ServerResponse): Promise<void> {
  if (response.destroyed) return;
  const done = new AbortController();
  await Promise.race([
    once(response, "drain", { signal: done.signal }),
    once(response, "close", { signal: done.signal }),
  ]);
  done.abort();
}

function isAsyncText(value: unknown): value is AsyncIterable<string> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

function send(
  response: ServerResponse,
  status: number,
  body: string,
  type = "text/plain; charset=utf-8",
): void {
  response.setHeader("Content-Length", Buffer.byteLength(body));
  writeHead(response, status, type);
  response.end(body);
}

function writeHead(response: ServerResponse, status: number, type: string): void {
  response.writeHead(status, {
    "Content-Type": type,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
  });
}

/** An absent Host (HTTP/1.0) is nobody's browser. */
function isOwnHost(host: string | undefined, boundAddress: string): boolean {
  if (host === undefined) return true;
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::\d{1,5})?$/.exec(host.toLowerCase());
  const name = match?.[1] ?? match?.[2];
  if (name === undefined) return false;
  if (name === "localhost" || name === "localhost." || name === boundAddress.toLowerCase())
    return true;
  return isIP(name) !== 0;
}

/** Details may quote names that strangers chose. */
function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what this is about
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, "?");
}

function hostPort(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function listenError(reason: unknown, where: string): RouterError {
  const code = reason instanceof Error && "code" in reason ? reason.code : undefined;
  const advice: Readonly<Record<string, string>> = {
    EADDRINUSE: "the port is in use by another process; free it or choose another with --admin",
    EACCES: "ports below 1024 need privileges; choose another with --admin",
    EADDRNOTAVAIL: "this machine has no such address; choose another with --admin",
  };
  const why = advice[String(code)] ?? RouterError.from(reason).message;
  const message = `cannot listen for admin requests on ${where}: ${why}`;
  return new RouterError("failed-precondition", message, {}, { cause: reason });
}
