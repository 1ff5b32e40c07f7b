// One gRPC probe: grpc.health.v1.Health/Check over HTTP/2 in the clear, with Node's own client.
//
// A connection for each probe, as for the other kinds. It costs more than they do (some 0.5 ms): HPACK and HTTP/2 come with it.

import {
  type ClientHttp2Session,
  connect,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from "node:http2";
import { connect as connectSocket, type Socket } from "node:net";
import { connectReason } from "../io/connect-reason.ts";
import { probeBytesMax } from "../limits.ts";
import type { Address, HostPort } from "../model/address.ts";
import { grpcCodeName, healthRequest, servingStatus } from "./grpc-answer.ts";
import {
  type Asked,
  failed,
  healthy,
  late,
  notConnected,
  type ProbeResult,
  type TellResult,
} from "./probe-result.ts";

const path = "/grpc.health.v1.Health/Check";
/** What HTTP/2 may keep for one connection, in MiB; it takes no fraction. */
const sessionMemoryMebibytes = 1;

export interface GrpcQuestion {
  readonly at: HostPort;
  readonly address: Address;
  /** "": the server as a whole. */
  readonly service: string;
  readonly userAgent: string;
}

export class GrpcProbe implements Asked {
  readonly #question: GrpcQuestion;
  readonly #tell: TellResult;
  readonly #socket: Socket;
  readonly #session: ClientHttp2Session;
  #answer = Buffer.alloc(0);
  /** grpc-status, of the trailers or of an answer that has nothing else. */
  #code: string | undefined;
  #isConnected = false;
  /** Its head has come. */
  #isBegun = false;
  #isOver = false;

  constructor(question: GrpcQuestion, tell: TellResult) {
    this.#question = question;
    this.#tell = tell;
    const { host, port } = question.at;
    // One address after the other, without timers that the thread's loop does not know of.
    this.#socket = connectSocket({ host, port, noDelay: true, autoSelectFamily: false });
    this.#socket.on("connect", () => (this.#isConnected = true));
    this.#socket.on("error", (error: NodeJS.ErrnoException) => this.#broke(error));
    this.#session = connect(`http://${question.address}`, {
      createConnection: () => this.#socket,
      maxSessionMemory: sessionMemoryMebibytes,
      maxOutstandingPings: 1,
      settings: { enablePush: false, maxHeaderListSize: probeBytesMax },
    });
    this.#session.on("error", (error) => this.#broke(error));
    this.#session.on("close", () => this.#closed());
    this.#session.on("goaway", (code) => this.#over(failed(`HTTP/2 GOAWAY ${code}`)));
    this.#ask();
  }

  giveUp(timeoutMs: number): ProbeResult {
    this.#isOver = true;
    this.#reset();
    if (!this.#isConnected) return late("no connection", timeoutMs);
    return late(this.#answer.length > 0 ? "no end of its answer" : "no answer", timeoutMs);
  }

  #ask(): void {
    const { service, userAgent } = this.#question;
    const stream = this.#session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      "user-agent": userAgent,
    });
    stream.on("error", (error) => this.#broke(error));
    stream.on("response", (headers) => this.#began(headers));
    stream.on("trailers", (trailers: IncomingHttpHeaders) => this.#coded(trailers));
    stream.on("data", (piece: Buffer) => this.#took(piece));
    stream.on("end", () => this.#ended());
    stream.end(healthRequest(service));
  }

  #began(headers: IncomingHttpHeaders & IncomingHttpStatusHeader): void {
    this.#isBegun = true;
    const status = headers[":status"];
    if (status !== 200) return this.#over(failed(`HTTP/2, but status ${status ?? "none"}`));
    this.#coded(headers);
  }

  #coded(headers: IncomingHttpHeaders): void {
    const code = headers["grpc-status"];
    if (typeof code === "string") this.#code = code;
  }

  #took(piece: Buffer): void {
    if (this.#answer.length + piece.length > probeBytesMax) {
      return this.#over(failed("more than 64 KiB without an end"));
    }
    this.#answer = Buffer.concat([this.#answer, piece]);
  }

  #ended(): void {
    if (!this.#isBegun) return this.#closed();
    const code = this.#code ?? "";
    if (code !== "0") {
      return this.#over(failed(code === "" ? "not gRPC: no grpc-status" : grpcCodeName(code)));
    }
    const status = servingStatus(this.#answer);
    if (status === undefined) return this.#over(failed("not a health answer"));
    this.#over(status === "SERVING" ? healthy("SERVING") : failed(status));
  }

  #broke(error: NodeJS.ErrnoException): void {
    if (this.#isConnected) {
      const isReset = error.code === "ECONNRESET" || error.code === "EPIPE";
      const said = isReset ? "connection reset before its answer" : `not HTTP/2: ${error.message}`;
      return this.#over(failed(said));
    }
    const code = error.code ?? error.message;
    this.#over(notConnected(connectReason(code), code));
  }

  #closed(): void {
    this.#over(failed("closed without an answer"));
  }

  #over(result: ProbeResult): void {
    if (this.#isOver) return;
    this.#isOver = true;
    // Whoever has said all there is hears a GOAWAY and a FIN, whoever goes on sending a reset.
    if (result.healthy) this.#session.destroy();
    else this.#reset();
    this.#tell(result);
  }

  #reset(): void {
    this.#session.destroy();
    this.#socket.resetAndDestroy();
  }
}
