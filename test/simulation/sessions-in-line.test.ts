// Goal: whatever meets a request on its way (the line, a pause, its client's leaving, requests behind it, retries, a second
// backend, times that end, backends that go, settings that change) it is answered once and in order, nothing that must
// not be sent twice is, and nothing stays counted.
// Method: real sessions on recorded streams behind a real gate; time by hand; random steps from a seed, then quiet. A
// failure prints its seed.

import { describe, expect, test } from "vitest";
import { Field, inFlightTotal } from "../../src/channel/in-flight.ts";
import { parseAddress } from "../../src/model/address.ts";
import { parseServiceName } from "../../src/model/names.ts";
import type { ServiceOptions } from "../../src/model/service-options.ts";
import type { BackendState } from "../../src/routing/backend-state.ts";
import { HttpSession } from "../../src/worker/http-session.ts";
import { Sessions } from "../../src/worker/sessions.ts";
import { GateWorld } from "../support/gate-world.ts";
import { RecordingStream } from "../support/recording-stream.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { backendOf, routeOf } from "../support/table-fixtures.ts";

const seeds = Array.from({ length: 60 }, (_, i) => i + 1);

class Client {
  readonly stream = new RecordingStream();
  readonly asked: string[] = [];
  isGone = false;
}

/** One connection to a backend, as the backend sees it. */
interface Upstream {
  readonly stream: RecordingStream & { readonly to?: string };
  isConnected: boolean;
  isOver: boolean;
  /** What of its text was answered. */
  answered: number;
}

class Storm {
  readonly random: SeededRandom;
  readonly world: GateWorld;
  readonly sessions: Sessions;
  readonly clients: Client[] = [];
  readonly upstreams: Upstream[] = [];
  readonly states = new Set<BackendState>();
  #requests = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.world = new GateWorld({ backends: 2, service: this.options(), seed });
    this.sessions = new Sessions(this.worker.context.counters);
    this.route();
  }

  get worker() {
    return this.world.workers[0]!;
  }

  options(): ServiceOptions {
    const { random } = this;
    const some = (max: number): number => 1 + random.below(max);
    return {
      ...(random.chance(0.7) && {
        limits: {
          ...(random.chance(0.5) && { requests: some(3) }),
          ...(random.chance(0.5) && { requestsPerBackend: some(2) }),
          ...(random.chance(0.3) && { connectionsPerBackend: some(2), connections: some(2) }),
          queue: random.below(6),
          queueMs: random.chance(0.5) ? 100 : 3_000,
        },
      }),
      ...(random.chance(0.3) && { pause: { queue: 4, queueMs: 500, sinceMs: 1 } }),
    };
  }

  route(): void {
    const { random } = this;
    const options = {
      ...(random.chance(0.7) && {
        retry: {
          ...(random.chance(0.6) && { tries: 1 + random.below(5) }),
          ...(random.chance(0.5) && { perTryMs: 30 }),
          ...(random.chance(0.5) && { statuses: [503] }),
          ...(random.chance(0.5) && { hedgeMs: 10 }),
        },
      }),
      ...(random.chance(0.4) && { timeoutMs: 150 }),
    };
    this.world.change([{ kind: "route-put", route: { ...routeOf("all", "*"), options } }]);
  }

  look(): void {
    for (const state of this.worker.service.backends) this.states.add(state);
    for (const stream of this.worker.dialled.slice(this.upstreams.length)) {
      this.upstreams.push({ stream, isConnected: false, isOver: false, answered: 0 });
    }
    for (const one of this.upstreams)
      one.isOver ||= one.stream.calls.some((call) => call !== "end");
  }

  live(): Upstream[] {
    this.look();
    return this.upstreams.filter(({ isOver }) => !isOver);
  }

  come(): void {
    const { random } = this;
    const client = new Client();
    this.clients.push(client);
    client.stream.events = new HttpSession(this.worker.context, this.sessions, client.stream);
    let text = "";
    for (let count = 1 + random.below(3); count > 0; count--) {
      const id = `r${++this.#requests}`;
      client.asked.push(id);
      text += random.chance(0.6)
        ? `GET /${id} HTTP/1.1\r\nHost: a\r\n\r\n`
        : `${random.chance(0.5) ? "POST" : "PUT"} /${id} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc`;
    }
    const cut = random.chance(0.3) ? random.below(text.length) : text.length;
    if (cut > 0) client.stream.receive(text.slice(0, cut));
    if (random.chance(0.3)) this.world.pass(1 + random.below(20));
    if (cut < text.length && client.stream.calls.length === 0)
      client.stream.receive(text.slice(cut));
  }

  goAway(): void {
    const here = this.clients.filter(({ isGone, stream }) => !isGone && stream.calls.length === 0);
    if (here.length === 0) return;
    const client = this.random.one(here);
    client.isGone = true;
    client.stream.events.onClose("reset", "ECONNRESET");
  }

  backendDoes(isGood: boolean): void {
    const { random } = this;
    const live = this.live();
    if (live.length === 0) return;
    const one = random.one(live);
    const { stream } = one;
    const { events } = stream;
    if (!one.isConnected) {
      if (isGood || random.chance(0.8)) {
        one.isConnected = true;
        return events.onConnect();
      }
      one.isOver = true;
      return events.onClose("refused", "ECONNREFUSED");
    }
    const rest = stream.text.slice(one.answered);
    const [head, , id = ""] = /(GET|POST|PUT) \/(r\d+) HTTP\/1.1\r\n[^]*?\r\n\r\n/.exec(rest) ?? [];
    const dice = isGood ? 1 : random.next();
    if (dice < 0.1) {
      one.isOver = true;
      return events.onClose("reset", "ECONNRESET");
    }
    if (dice < 0.15) return events.onEnd();
    const end =
      head === undefined ? -1 : rest.indexOf(head) + head.length + (head.startsWith("GET") ? 0 : 3);
    if (head === undefined || rest.length < end) return;
    if (dice < 0.2) return stream.receive("HTTP/1.1 103 Early Hints\r\n\r\n");
    if (dice < 0.23) return stream.receive("HTTP/1.1 200 OK\r\nConte");
    if (dice < 0.26) return stream.receive("nonsense\r\n\r\n");
    one.answered += end;
    const status = dice < 0.4 ? "503 Busy" : "200 OK";
    stream.receive(
      `HTTP/1.1 ${status}\r\nContent-Length: ${id.length}\r\nX-Of: ${id}\r\n\r\n${id}`,
    );
  }

  backendsChange(): void {
    const { random, world } = this;
    const address = parseAddress(`10.0.0.${1 + random.below(3)}:80`);
    const service = parseServiceName("web");
    const dice = random.next();
    if (dice < 0.4) return world.change([{ kind: "backend-removed", service, address }]);
    if (dice < 0.8)
      return world.change([{ kind: "backend-put", backend: backendOf("web", address) }]);
    const drain = { state: "draining" as const, deadlineMs: 1e15, startedMs: 1, cut: 0 };
    world.change([{ kind: "backend-put", backend: { ...backendOf("web", address), drain } }]);
  }

  step(): void {
    const { random, world } = this;
    const dice = random.next();
    if (dice < 0.2) this.come();
    else if (dice < 0.25) this.goAway();
    else if (dice < 0.7) this.backendDoes(false);
    else if (dice < 0.73) world.configure(random.chance(0.2) ? undefined : this.options());
    else if (dice < 0.75) this.route();
    else if (dice < 0.79) this.backendsChange();
    else world.pass(1 + random.below(random.chance(0.1) ? 200 : 15));
    this.look();
  }

  /** Everybody is well, and time passes. */
  calmDown(): void {
    const { world } = this;
    world.change([{ kind: "backend-put", backend: backendOf("web", "10.0.0.9:80") }]);
    world.configure({ limits: { requests: 1_000, requestsPerBackend: 1_000, queue: 10 } });
    for (let i = 0; i < 400; i++) {
      this.backendDoes(true);
      world.pass(5);
    }
    world.pass(8_000);
    for (let i = 0; i < 100; i++) this.backendDoes(true);
    for (const { stream, isGone } of this.clients) {
      if (!isGone && stream.calls.length === 0) stream.events.onClose("reset", "ECONNRESET");
    }
    world.pass(8_000);
    this.look();
  }
}

function answersOf(text: string): { status: string; body: string }[] {
  const answers: { status: string; body: string }[] = [];
  let rest = text;
  while (rest !== "") {
    const [head, status = ""] = /^HTTP\/1\.1 (\d{3})[^]*?\r\n\r\n/.exec(rest) ?? [];
    if (head === undefined) throw new Error(`no answer: ${rest}`);
    rest = rest.slice(head.length);
    if (status.startsWith("1")) continue;
    const length = Number(/^content-length: (\d+)\r$/im.exec(head)?.[1]);
    const of = /^X-Of: (.*)\r$/m.exec(head)?.[1];
    answers.push({ status, body: of ?? "" });
    rest = rest.slice(length);
  }
  return answers;
}

describe("requests in every trouble", () => {
  test.for(seeds)("seed %i", (seed) => {
    const storm = new Storm(seed);
    for (let i = 0; i < 600; i++) storm.step();
    storm.calmDown();
    const posts = storm.upstreams.flatMap(({ stream }) =>
      [...stream.text.matchAll(/POST \/(r\d+) /g)].map(([, id]) => id),
    );
    expect(new Set(posts).size, `seed ${seed}: a POST was sent twice`).toBe(posts.length);
    for (const { stream, asked, isGone } of storm.clients) {
      const answers = answersOf(stream.text);
      for (const [i, { body }] of answers.entries()) if (body !== "") expect(body).toBe(asked[i]);
      const isWhole = answers.length === asked.length || isGone || stream.calls.length > 0;
      expect(isWhole, `seed ${seed}: ${asked.join()} got ${stream.text}`).toBe(true);
    }
    for (const state of storm.states) {
      const { inFlight, endpoint, record } = state;
      const left = [
        inFlight,
        endpoint.inFlight,
        endpoint.connections,
        record?.failing?.trials ?? 0,
      ];
      expect(left, `seed ${seed}`).toEqual([0, 0, 0, 0]);
    }
    const { memory } = storm.world.keeper;
    const counts = Object.values(Field).filter((field) => field < Field.LookedAt);
    const counted = Array.from({ length: memory.rows }, (_, row) =>
      counts.map((field) => inFlightTotal(memory, row, field)),
    );
    expect(
      counted.flat().every((count) => count === 0),
      `seed ${seed}: ${JSON.stringify(counted)}`,
    ).toBe(true);
    expect(storm.worker.counter("waiting"), `seed ${seed}`).toBe(0);
    storm.world.configure(undefined);
    expect(storm.worker.service.gate, `seed ${seed}`).toBeUndefined();
  });
});
