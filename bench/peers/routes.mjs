// The same routing for each of Node's peers: so many hosts, all led to one backend.
// `node SERVER.mjs PORT BACKEND_PORT ROUTES`.

import { hostOf } from "../support/proxy.ts";

const [port, backendPort, routes] = process.argv.slice(2).map(Number);

export const address = { port, host: "127.0.0.1", backlog: 4096 };
/** host -> base of its backend */
export const targets = new Map(
  Array.from({ length: routes }, (_, route) => [hostOf(route), `http://127.0.0.1:${backendPort}`]),
);
export const base = `http://127.0.0.1:${backendPort}`;

/** The base that a request's host leads to; undefined: 404. */
export function targetOf(request) {
  return targets.get((request.headers.host ?? "").split(":", 1)[0].toLowerCase());
}

/** The two fields that HAProxy and nginx are told to add. */
export function withForwardedFields(request, headers) {
  const before = headers["x-forwarded-for"];
  const client = request.socket.remoteAddress;
  headers["x-forwarded-for"] = before === undefined ? client : `${before}, ${client}`;
  headers["x-forwarded-proto"] = "http";
  return headers;
}

process.once("SIGTERM", () => process.exit(0));
