// What the process itself writes and warns of, while it is a node.

import type { Log } from "./telemetry/log-port.ts";

/** What Node itself warns of becomes a line of the log. */
export function logWarnings(log: Log): void {
  process.removeAllListeners("warning");
  process.on("warning", (warning: Error & { readonly code?: string }) => {
    // TLS to an IP address: grpc-js names the address as the server's name, whatever we say.
    if (warning.code !== "DEP0123") log.warn("a warning of Node", { warning });
  });
}

/** Whoever read our output has left, or its disk is full: a line is lost, and no traffic. */
export function keepServingWithoutReader(log: Log): void {
  // The command ends when nobody reads what it prints; a node does not.
  for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners("error");
  process.stderr.on("error", () => {});
  let told = false;
  process.stdout.on("error", (error) => {
    if (!told) log.warn("standard output takes nothing; traffic goes on", { error: error.message });
    told = true;
  });
}
