// Sessions of one worker on recorded streams, in a seeded storm of events: everything that a stream may deliver, in
// any order that it may come in. Looks on as it goes: who is lent an exchange, and what backends get.

import { parseAddress } from "../../src/model/address.ts";
import type { Change } from "../../src/model/change.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { noWish, parseOptions } from "../../src/model/parse-options.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { ProxyProtocol } from "../../src/model/service.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import type { Exchange } from "../../src/worker/exchange.ts";
import { HttpSession } from "../../src/worker/http-session.ts";
import { Sessions } from "../../src/worker/sessions.ts";
import { type Recording, recordingContext } from "./recording-context.ts";
import { RecordingStream } from "./recording-stream.ts";
import { SeededRandom } from "./seeded-random.ts";
import { type Asked, type Asking, anyAnswer, anyRequest, idOf } from "./storm-messages.ts";
import { readStrict, valuesOf } from "./strict-http.ts";
import { backendOf, routeOf } from "./table-fixtures.ts";

const unlimited = Number.MAX_SAFE_INTEGER;
const clientsAtOnce = 4;

/** One end of a connection, and what its peer does. */
export class StormLine {
  readonly stream: RecordingStream;
  isConnected: boolean;
  isClosed = false;
  hasEnded = false;
  /** What it will still send, in pieces. */
  toSend = "";
  constructor(stream: RecordingStream, isConnected: boolean) {
    this.stream = stream;
    this.isConnected = isConnected;
  }
  /** Nothing happens on it any more. */
  get isOver(): boolean {
    return this.isClosed || this.stream.calls.some((call) => call !== "end");
  }
  get sends(): boolean {
    return !this.isOver && this.isConnected && !this.stream.paused && !this.hasEnded;
  }
  connect(): void {
    this.isConnected = true;
    this.stream.events.onConnect();
  }
  send(length: number): void {
    const piece = this.toSend.slice(0, length);
    this.toSend = this.toSend.slice(length);
    this.stream.receive(piece);
  }
  end(): void {
    this.hasEnded = true;
    this.stream.events.onEnd();
  }
  close(reason: "finished" | "reset" | "refused"): void {
    this.isClosed = true;
    this.stream.events.onClose(reason, reason);
  }
}

export class StormClient extends StormLine {
  readonly session: HttpSession;
  readonly asked: readonly Asking[];
  constructor(stream: RecordingStream, session: HttpSession, asked: readonly Asking[]) {
    super(stream, true);
    this.session = session;
    this.asked = asked;
    this.toSend = asked.map(({ text }) => text).join("");
  }
}

class StormBackend extends StormLine {
  /** Where the request begins that is read now, in what it got. */
  at = 0;
  /** Where the last one began whose head is there. */
  headAt = -1;
  hasSwitched = false;
  endsAfter = false;
  readonly asked: Asked[] = [];
}

export class SessionStorm {
  readonly recording: Recording;
  readonly clients: StormClient[] = [];
  /** What was wrong with what happened. */
  readonly broken: string[] = [];
  readonly lent = new Set<Exchange>();
  /** Times that each POST reached a backend. */
  readonly posts = new Map<string, number>();
  readonly #random: SeededRandom;
  readonly #sessions: Sessions;
  readonly #backends = new Map<RecordingStream, StormBackend>();
  #ids = 0;
  #revision = 1;

  constructor(seed: number) {
    const random = new SeededRandom(seed);
    this.#random = random;
    this.recording = recordingContext({
      bodyBytesMax: random.one([60, unlimited]),
      requestMsMax: random.one([20_000, unlimited]),
      requestsPerConnectionMax: random.one([3, unlimited]),
      upgradedConnectionsMax: random.one([2, unlimited]),
      exchangesIdleMax: random.one([0, 1, 256]),
      sendQueueBytesHigh: random.one([10, 16_384]),
      upstreamIdlePerBackendMax: random.one([1, 256]),
    });
    const { context } = this.recording;
    context.table = tableOf(random);
    this.#sessions = new Sessions(context.counters);
    this.#watchExchanges();
  }

  #watchExchanges(): void {
    const { exchanges } = this.recording.context;
    const lend = exchanges.lend.bind(exchanges);
    const giveBack = exchanges.giveBack.bind(exchanges);
    exchanges.lend = (client) => {
      const exchange = lend(client);
      if (this.lent.has(exchange)) this.broken.push("an exchange was lent twice");
      this.lent.add(exchange);
      return exchange;
    };
    exchanges.giveBack = (exchange) => {
      if (!this.lent.delete(exchange)) this.broken.push("an exchange was given back twice");
      if (exchange.active) this.broken.push("an exchange was given back while it was active");
      giveBack(exchange);
    };
  }

  /** One thing happens. */
  step(): void {
    const random = this.#random;
    const open = this.clients.filter((client) => !client.isOver);
    if (open.length < clientsAtOnce && random.chance(0.3)) this.#open();
    for (const backend of this.#openBackends()) {
      this.#look(backend);
      if (random.chance(0.5)) this.#answer(backend);
      if (random.chance(0.3)) endIfDue(backend);
    }
    const lines = [...open, ...this.#openBackends()];
    if (lines.length > 0) this.#act(random.one(lines));
    if (open.length > 0 && random.chance(0.01)) random.one(open).session.drain();
    if (open.length > 0 && random.chance(0.004)) random.one(open).session.destroy();
    if (random.chance(0.02)) this.#changeTable();
    if (random.chance(0.02)) this.recording.pass(random.one([100, 1_000, 7_000, 61_000]));
  }

  /** Calm: everybody does at once what they are asked. */
  settle(): void {
    for (let i = 0; i < 100; i++) {
      for (const backend of this.#openBackends()) {
        if (!backend.isConnected) backend.connect();
        this.#look(backend);
        this.#answer(backend);
        endIfDue(backend);
      }
      for (const line of [...this.clients, ...this.#openBackends()]) {
        if (line.isOver) continue;
        line.stream.stuck = false;
        line.stream.drain();
        if (line.sends && line.toSend !== "") line.send(line.toSend.length);
      }
    }
  }

  /** Everybody leaves, and time passes. */
  end(): void {
    for (const { session } of this.clients) session.destroy();
    this.recording.pass(70_000);
  }

  #openBackends(): StormBackend[] {
    for (const stream of this.recording.dialled) {
      if (!this.#backends.has(stream)) {
        this.#backends.set(stream, new StormBackend(stream, false));
      }
    }
    return [...this.#backends.values()].filter((backend) => !backend.isOver);
  }

  #open(): void {
    const { context } = this.recording;
    const stream = new RecordingStream(context.limits.sendQueueBytesHigh);
    const session = new HttpSession(context, this.#sessions, stream);
    const count = 1 + this.#random.below(5);
    const asked = Array.from({ length: count }, () => anyRequest(this.#random, `r${++this.#ids}`));
    this.clients.push(new StormClient(stream, session, asked));
  }

  /** What the stream of one line may deliver now. */
  #act(line: StormLine): void {
    const random = this.#random;
    const { stream } = line;
    if (line.isOver) return;
    const roll = random.next();
    if (!line.isConnected) {
      if (roll < 0.7) line.connect();
      else if (roll < 0.8) line.close("refused");
      return;
    }
    const { length } = line.toSend;
    if (roll < 0.7) {
      if (line.sends && length > 0)
        line.send(random.chance(0.5) ? length : 1 + random.below(length));
    } else if (roll < 0.74) {
      if (line.sends) line.end();
    } else if (roll < 0.76) line.close("reset");
    else if (roll < 0.84) stream.stuck = true;
    else if (roll < 0.96) {
      stream.stuck = false;
      stream.drain();
    }
    const isDone = line.hasEnded && stream.calls.includes("end") && stream.queuedBytes === 0;
    if (isDone && !line.isOver) line.close("finished");
  }

  /** Reads what has come to a backend, which may answer as soon as a head is there. */
  #look(backend: StormBackend): void {
    while (!backend.hasSwitched) {
      const text = backend.stream.text.slice(backend.at);
      if (backend.at === 0 && text.startsWith("PROXY ")) {
        backend.at = text.indexOf("\r\n") + 2;
        continue;
      }
      const message = readStrict(text, "request");
      if (message === undefined || !text.includes("\r\n\r\n")) return;
      this.broken.push(...message.violations);
      const [method = "", target = ""] = message.startLine.split(" ");
      const id = idOf(target);
      if (backend.headAt !== backend.at) {
        backend.headAt = backend.at;
        if (method === "POST") this.posts.set(id, (this.posts.get(id) ?? 0) + 1);
        backend.asked.push({ id, method, upgrade: valuesOf(message, "upgrade").length > 0 });
      }
      if (!message.complete) return;
      backend.at += message.length;
    }
  }

  #answer(backend: StormBackend): void {
    if (backend.toSend !== "" || backend.endsAfter) return;
    const asked = backend.asked.shift();
    if (asked === undefined) return;
    const { text, switches = false, untilEnd = false } = anyAnswer(this.#random, asked);
    backend.toSend = text;
    backend.hasSwitched = switches;
    backend.endsAfter = untilEnd;
  }

  #changeTable(): void {
    const { table, pool } = this.recording.context;
    const address = `10.0.0.${1 + this.#random.below(3)}:80`;
    const removed: Change = {
      kind: "backend-removed",
      service: parseServiceName("web"),
      address: parseAddress(address),
    };
    const put: Change = { kind: "backend-put", backend: backendOf("web", address) };
    const change = this.#random.chance(0.5) ? removed : put;
    const prepared = table.prepare([change], parseRevision(++this.#revision));
    for (const endpoint of prepared.apply()) pool.close(endpoint);
  }
}

function endIfDue(backend: StormBackend): void {
  if (backend.endsAfter && backend.toSend === "" && backend.sends) backend.end();
}

function tableOf(random: SeededRandom): RouteTable {
  const answer = { status: 200, contentType: "", body: "fixed", headers: {} };
  const options = parseOptions({ ...noWish, answer }, "route")!;
  const proxyProtocol = random.chance(0.3) ? { proxyProtocol: ProxyProtocol.V1 } : {};
  const builder = RouteTable.build();
  builder.add([
    { kind: "route-put", route: { ...routeOf("all", "*"), sticky: random.chance(0.3) } },
    {
      kind: "route-put",
      route: { ...routeOf("fixed", "fixed.test"), service: undefined, options },
    },
    {
      kind: "service-put",
      service: { name: parseServiceName("web"), policy: "round-robin", ...proxyProtocol },
    },
    ...["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"].map(
      (address): Change => ({ kind: "backend-put", backend: backendOf("web", address) }),
    ),
  ]);
  return builder.finish(parseRevision(1));
}
