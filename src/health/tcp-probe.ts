// One TCP probe: a connection that comes about, and is closed again.

import type { Io } from "../io/io.ts";
import type { CloseReason, Stream, StreamEvents } from "../io/stream.ts";
import type { HostPort } from "../model/address.ts";
import {
  type Asked,
  healthy,
  late,
  notConnected,
  type ProbeResult,
  type TellResult,
} from "./probe-result.ts";

export class TcpProbe implements StreamEvents, Asked {
  readonly #tell: TellResult;
  readonly #stream: Stream;

  constructor(io: Io, at: HostPort, tell: TellResult) {
    this.#tell = tell;
    this.#stream = io.dial(at.host, at.port, this);
  }

  giveUp(timeoutMs: number): ProbeResult {
    this.#stream.destroy(true);
    return late("no connection", timeoutMs);
  }

  /** In order, not by a reset: servers that were about to accept log resets as errors. */
  onConnect(): void {
    this.#stream.destroy(false);
    this.#tell(healthy("connects"));
  }

  onData(): void {}
  onEnd(): void {}
  onWritable(): void {}

  onClose(reason: CloseReason, message: string): void {
    this.#tell(notConnected(reason, message));
  }
}
