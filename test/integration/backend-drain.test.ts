// Goal: a backend that drains gets nothing new, finishes what it has, and is gone when that is over or its time is.
// Method: a whole node, backends that hold what they get, clients of all kinds.

import { once } from "node:events";
import { Agent, request } from "node:http";
import { connect, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { BackendDrain_State as State } from "../../src/gen/crosspoint/v1/router.ts";
import { startHttpBackend } from "../support/named-backend.ts";
import { PatientBackend } from "../support/patient-backend.ts";
import { failureOf } from "../support/rpc-node.ts";
import { until } from "../support/until.ts";
import { httpMatch, startWholeNode, tcpMatch, type WholeNode } from "../support/whole-node.ts";

const seconds = (count: number): object => ({ seconds: BigInt(count), nanos: 0 });
const millis = (count: number): object => ({ seconds: 0n, nanos: count * 1_000_000 });

/** What the client of a connection gets, and how it ended. */
interface Seen {
  readonly socket: Socket;
  text: string;
  /** undefined: it is open. */
  end: "finished" | "reset" | undefined;
}

async function opened(port: number, first = ""): Promise<Seen> {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  const seen: Seen = { socket, text: "", end: undefined };
  socket.on("data", (bytes: Buffer) => (seen.text += bytes.toString("latin1")));
  socket.on("end", () => (seen.end ??= "finished"));
  socket.on("error", () => (seen.end ??= "reset"));
  await once(socket, "connect");
  if (first !== "") socket.write(first);
  return seen;
}

const upgrade = (host: string): string =>
  `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`;

/** Resolves once every worker serves that all backends of these services drain. */
async function draining({ client, node }: WholeNode, ...services: string[]): Promise<void> {
  for (let seen = 0; seen < services.length; ) {
    seen = 0;
    for (const service of services) {
      const { backends, revision } = await client.call("listBackends", { service });
      const isSeen = backends.every(({ backend }) => backend?.drain?.state === State.DRAINING);
      if (isSeen && node.fleet.servedRevision >= revision) seen++;
    }
  }
}

interface Bench extends WholeNode {
  readonly http: PatientBackend;
  readonly tcp: PatientBackend;
  readonly tcpPort: number;
}

/** A node with a patient HTTP backend at a.test (service "web"), and a TCP one (service "db"). */
async function bench(): Promise<Bench> {
  const node = await startWholeNode();
  const http = await PatientBackend.http();
  const tcp = await PatientBackend.tcp();
  await node.lead(httpMatch("a.test"), http.address, "web");
  await node.lead(tcpMatch(), tcp.address, "db");
  const { routes } = await node.client.call("listRoutes");
  const match = routes.find(({ service }) => service === "db")?.match;
  const tcpPort = match?.$case === "tcp" ? match.value.port : 0;
  return { ...node, http, tcp, tcpPort };
}

describe("a backend that drains", () => {
  test("is gone at once when nothing is open there, and Watch tells each step", async () => {
    const { client, http } = await bench();
    const { revision } = await client.call("listRoutes");
    const answer = await client.call("deregisterBackend", {
      service: "web",
      address: http.address,
      drain: seconds(30),
    });
    expect(answer).toEqual({ revision: revision + 3n, cut: 0 });
    const events: unknown[] = [];
    const watch = client.raw.watch({ afterRevision: revision });
    watch.on("error", () => {});
    for await (const { event } of watch) {
      if (event?.$case === "backendPut" || event?.$case === "backendRemoved") {
        events.push([event.$case, event.value.address, event.value.drain?.state]);
      }
      if (event?.$case === "backendRemoved") break;
    }
    expect(events).toEqual([
      ["backendPut", http.address, State.DRAINING],
      ["backendPut", http.address, State.DRAINED],
      ["backendRemoved", http.address, undefined],
    ]);
    expect((await client.call("listBackends", { service: "web" })).backends).toEqual([]);
  });

  test("finishes requests, upgraded and TCP connections, and nothing new comes", async () => {
    const node = await bench();
    const { client, get, httpPort, http, tcp, tcpPort } = node;
    const asked = get("a.test");
    const upgraded = await opened(httpPort, upgrade("a.test"));
    const plain = await opened(tcpPort, "hello");
    await http.asked();
    await until(() => upgraded.text.includes("101") && plain.text === "hello", "both to echo");
    let done = 0;
    const drains = [
      ["web", http.address],
      ["db", tcp.address],
    ].map(async ([service, address]) => {
      const answer = await client.call("deregisterBackend", {
        service,
        address,
        drain: seconds(30),
      });
      done++;
      return answer.cut;
    });
    await draining(node, "web", "db");
    expect(await get("a.test")).toMatchObject({
      status: 503,
      headers: { "x-crosspoint-reason": "no-backend" },
    });
    const refused = await opened(tcpPort);
    await until(() => refused.end !== undefined, "the new connection to be closed");
    expect([tcp.lasting.size, http.lasting.size, http.waiting.length]).toEqual([1, 1, 1]);
    http.answer();
    expect(await asked).toMatchObject({ status: 200, body: "late but whole" });
    upgraded.socket.write("still here");
    plain.socket.write(", still here");
    await until(() => upgraded.text.endsWith("still here"), "the upgraded one to echo");
    await until(() => plain.text === "hello, still here", "the TCP one to echo");
    expect(done).toBe(0);
    upgraded.socket.end();
    plain.socket.end();
    expect(await Promise.all(drains)).toEqual([0, 0]);
    await until(() => plain.end === "finished", "the TCP connection to end in order");
  });

  test("cuts what is open when its time is over, counts it, and tells the client", async () => {
    const { client, get, httpPort, http, tcp, tcpPort } = await bench();
    const asked = get("a.test");
    const upgraded = await opened(httpPort, upgrade("a.test"));
    const plain = await opened(tcpPort, "hello");
    await http.asked();
    await until(() => upgraded.text.includes("101") && plain.text === "hello", "both to echo");
    const before = performance.now();
    const cuts = [
      ["web", http.address],
      ["db", tcp.address],
    ].map(async ([service, address]) => {
      const drain = millis(300);
      return (await client.call("deregisterBackend", { service, address, drain })).cut;
    });
    expect(await asked).toMatchObject({
      status: 504,
      headers: { "x-crosspoint-reason": "backend-drained" },
    });
    expect(performance.now() - before).toBeGreaterThan(299);
    expect(await Promise.all(cuts)).toEqual([2, 1]);
    await until(
      () => upgraded.end !== undefined && plain.end !== undefined,
      () => `both to be cut: ${upgraded.end}, ${plain.end}`,
    );
    expect([upgraded.end, plain.end]).toEqual(["reset", "reset"]);
    await until(() => http.lasting.size + tcp.lasting.size === 0, "the backends to hear of it");
  });

  test("a removal without a drain cuts nothing", async () => {
    const { client, tcp, tcpPort } = await bench();
    const plain = await opened(tcpPort, "hello");
    await until(() => plain.text === "hello", "the echo");
    await client.call("deregisterBackend", { service: "db", address: tcp.address });
    plain.socket.write(" again");
    await until(() => plain.text === "hello again", "the echo");
  });

  test("a client that keeps its connection goes on to the other backends on it", async () => {
    const { client, http, httpPort } = await bench();
    const other = await startHttpBackend("other");
    onTestFinished(() => other.close());
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const first = getOn(agent, httpPort);
    await http.asked();
    http.answer("first");
    expect(await first).toMatchObject({ body: "first" });
    await client.call("registerBackend", { backend: { service: "web", address: other.address } });
    await client.call("deregisterBackend", {
      service: "web",
      address: http.address,
      drain: seconds(30),
    });
    // Idle connections of the pool are gone as well.
    await untilAsync(async () => (await http.connections()) === 0);
    const second = await getOn(agent, httpPort);
    expect(second).toMatchObject({ body: "other", port: (await first).port });
  });

  test("a client that sticks to it is led elsewhere", async () => {
    const { client, get, http } = await bench();
    const other = await startHttpBackend("other");
    onTestFinished(() => other.close());
    await client.call("applyChanges", {
      changes: [
        {
          change: {
            $case: "putRoute",
            value: { name: "a-test", match: httpMatch("a.test"), service: "web", sticky: true },
          },
        },
      ],
    });
    const asked = get("a.test");
    await http.asked();
    http.answer();
    const [cookie = ""] = String((await asked).headers["set-cookie"]).split(";");
    expect(cookie).not.toBe("");
    await client.call("registerBackend", { backend: { service: "web", address: other.address } });
    const held = get("a.test", "/", { cookie });
    await http.asked();
    const drained = client.call("deregisterBackend", {
      service: "web",
      address: http.address,
      drain: seconds(30),
    });
    await untilAsync(
      async () => (await get("a.test", "/", { cookie })).body === "other",
      () => http.answer(),
    );
    http.answer();
    await held;
    expect((await drained).cut).toBe(0);
  });

  test("goes on when its call ends; called again it is joined, and the earlier time holds", async () => {
    const { client, get, http } = await bench();
    const asked = get("a.test");
    await http.asked();
    const place = { service: "web", address: http.address };
    const failure = await failureOf(
      client.call(
        "deregisterBackend",
        { ...place, drain: seconds(30) },
        { deadline: Date.now() + 400 },
      ),
    );
    expect([failure.code, failure.info?.reason]).toEqual(["DEADLINE_EXCEEDED", "STILL_DRAINING"]);
    const longer = client.call("deregisterBackend", { ...place, drain: seconds(60) });
    const { backends } = await client.call("listBackends", { service: "web" });
    expect(backends[0]?.backend?.drain?.deadline?.getTime()).toBeLessThan(Date.now() + 30_000);
    const shorter = client.call("deregisterBackend", { ...place, drain: millis(200) });
    expect([(await longer).cut, (await shorter).cut]).toEqual([1, 1]);
    expect((await asked).status).toBe(504);
  });

  test("registered again while it drains it goes on draining", async () => {
    const node = await bench();
    const { client, get, http } = node;
    const asked = get("a.test");
    await http.asked();
    const backend = { service: "web", address: http.address };
    const drained = client.call("deregisterBackend", { ...backend, drain: seconds(30) });
    await draining(node, "web");
    await client.call("registerBackend", { backend: { ...backend, weight: 7 } });
    const { backends } = await client.call("listBackends", { service: "web" });
    expect(backends[0]?.backend).toMatchObject({ weight: 100, drain: { state: State.DRAINING } });
    http.answer();
    await asked;
    expect((await drained).cut).toBe(0);
    await client.call("registerBackend", { backend });
    const again = get("a.test");
    await http.asked();
    http.answer("back");
    expect((await again).body).toBe("back");
  });

  test("its TTL does not end it before, and whoever removes it tells who waits", async () => {
    const node = await bench();
    const { client, get, http } = node;
    const backend = { service: "web", address: http.address };
    await client.call("registerBackend", { backend, ttl: seconds(1) });
    const asked = get("a.test");
    await http.asked();
    const drained = failureOf(client.call("deregisterBackend", { ...backend, drain: seconds(30) }));
    await draining(node, "web");
    await client.call("registerBackend", { backend, ttl: seconds(1) });
    const { backends } = await client.call("listBackends", { service: "web" });
    expect(backends[0]?.backend).toMatchObject({ drain: { state: State.DRAINING } });
    expect(backends[0]?.backend?.ttl).toBeUndefined();
    await client.call("deregisterBackend", backend);
    const { code, info } = await drained;
    expect([code, info?.reason]).toEqual(["FAILED_PRECONDITION", "REMOVED_BEFORE_DRAINED"]);
    http.answer();
    expect((await asked).status).toBe(200);
  });

  test("what cannot be drained is refused", async () => {
    const { client, http } = await bench();
    const call = (fields: object): Promise<unknown> =>
      client.call("deregisterBackend", { service: "web", address: http.address, ...fields });
    expect((await failureOf(call({ drain: seconds(0) }))).fields).toEqual(["drain"]);
    expect((await failureOf(call({ drain: seconds(86_401) }))).fields).toEqual(["drain"]);
    const missing = await failureOf(call({ address: "10.0.0.1:1", drain: seconds(1) }));
    expect([missing.code, missing.resource]).toEqual(["NOT_FOUND", "backend/web 10.0.0.1:1"]);
  });
});

async function untilAsync(
  holds: () => Promise<boolean>,
  meanwhile = (): void => {},
): Promise<void> {
  while (!(await Promise.race([holds(), turnsThen(meanwhile)])));
}

/** Never true: whoever holds a request that is waited for lets it go. */
async function turnsThen(meanwhile: () => void): Promise<boolean> {
  await new Promise((resolve) => setTimeout(resolve, 20));
  meanwhile();
  return false;
}

/** A GET of a.test by an agent; with the client's own port. */
function getOn(
  agent: Agent,
  port: number,
): Promise<{ readonly body: string; readonly port: number }> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, agent, headers: { Host: "a.test" } };
    const sent = request(options, (response) => {
      const own = response.socket.localPort ?? 0;
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text));
      response.on("end", () => resolve({ body, port: own }));
    });
    sent.on("error", reject);
    sent.end();
  });
}
