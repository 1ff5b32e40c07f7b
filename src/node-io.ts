// The adapter of a node's workers (`--io`): chosen once, when it starts, and said when it is not the best there is.

import { chooseIo, type IoName, type Missing } from "./io/choose-io.ts";
import { invalidField } from "./model/errors.ts";
import type { Log } from "./telemetry/log-port.ts";

/** Throws "invalid-argument" with the reason where the machine does not have what is asked for. */
export function nodeIo(wanted: IoName | "auto", log: Log, missing?: Missing): IoName {
  const choice = chooseIo(wanted, missing);
  if (choice.kind === "missing") {
    const reason = `${JSON.stringify(wanted)} does not work here: ${choice.reason}`;
    throw invalidField("--io", `${reason}; --io auto takes what does`);
  }
  if (choice.instead !== "") {
    log.info("the fastest input and output is not to be had here", {
      io: choice.io,
      reason: choice.instead,
    });
  }
  return choice.io;
}
