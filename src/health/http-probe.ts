// One HTTP probe: a GET on a connection of its own.

import type { Io } from "../io/io.ts";
import type { CloseReason, Stream, StreamEvents } from "../io/stream.ts";
import type { Address, HostPort } from "../model/address.ts";
import { HttpAnswer, type HttpProbeSettings } from "./http-answer.ts";
import { type Asked, notConnected, type ProbeResult, type TellResult } from "./probe-result.ts";

export interface HttpQuestion {
  readonly settings: HttpProbeSettings;
  /** The whole request. */
  readonly bytes: Uint8Array;
}

/** Made once for all probes of a backend. */
export function httpQuestion(
  settings: HttpProbeSettings,
  address: Address,
  userAgent: string,
): HttpQuestion {
  const lines = [
    `GET ${settings.path} HTTP/1.1`,
    `Host: ${settings.host ?? address}`,
    `User-Agent: ${userAgent}`,
    "Accept: */*",
    "Connection: close",
  ];
  return { settings, bytes: Buffer.from(`${lines.join("\r\n")}\r\n\r\n`) };
}

export class HttpProbe implements StreamEvents, Asked {
  readonly #question: HttpQuestion;
  readonly #answer: HttpAnswer;
  readonly #tell: TellResult;
  readonly #stream: Stream;
  #connected = false;

  constructor(io: Io, at: HostPort, question: HttpQuestion, tell: TellResult) {
    this.#question = question;
    this.#answer = new HttpAnswer(question.settings);
    this.#tell = tell;
    this.#stream = io.dial(at.host, at.port, this);
  }

  giveUp(timeoutMs: number): ProbeResult {
    this.#stream.destroy(true);
    return this.#answer.expire(timeoutMs, this.#connected);
  }

  onConnect(): void {
    this.#connected = true;
    const { bytes } = this.#question;
    this.#stream.write(bytes, 0, bytes.length);
  }

  onData(bytes: Uint8Array, start: number, end: number): void {
    this.#answer.feed(bytes, start, end);
    this.#finish();
  }

  onEnd(): void {
    this.#answer.end();
    this.#finish();
  }

  onWritable(): void {}

  onClose(reason: CloseReason, message: string): void {
    if (!this.#connected) return this.#tell(notConnected(reason, message));
    this.#answer.broke();
    const { result } = this.#answer;
    if (result !== undefined) this.#tell(result);
  }

  /** A backend that is not done is reset, so that it does not go on sending. */
  #finish(): void {
    const { result, isWhole } = this.#answer;
    if (result === undefined) return;
    this.#stream.destroy(!isWhole);
    this.#tell(result);
  }
}
