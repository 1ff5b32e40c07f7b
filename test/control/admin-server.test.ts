// Goal: probes and scrapers get their answers; a web page, a stranger's Host and a slow reader get nothing.

import { once } from "node:events";
import { connect } from "node:net";
import { setImmediate } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { type AdminProviders, AdminServer } from "../../src/control/admin-server.ts";
import { recordingLog } from "../support/recording-log.ts";

const servers: AdminServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function listen(providers: Partial<AdminProviders> = {}): Promise<string> {
  const server = await AdminServer.listen({
    address: "127.0.0.1",
    port: 0,
    log: recordingLog(),
    providers: {
      health: () => [],
      ready: () => ({ ready: true, checks: [] }),
      metrics: () => "crosspoint_info 1\n",
      snapshot: () => ({ revision: 1 }),
      ...providers,
    },
  });
  servers.push(server);
  return server.address;
}

/** Sends bytes as they are and answers everything until the server closes. */
async function raw(address: string, request: string): Promise<string> {
  const [host = "", port] = address.split(":");
  const socket = connect(Number(port), host);
  socket.end(request);
  let text = "";
  socket.on("data", (bytes) => (text += bytes.toString("latin1")));
  await once(socket, "close");
  return text;
}

function* routes(count: number): Generator {
  for (let i = 0; i < count; i++) yield { name: `r${i}`, match: { domain: `d${i}.test` } };
}

function* counted(items: Iterable<unknown>, onItem: () => void): Generator {
  for (const item of items) {
    onItem();
    yield item;
  }
}

async function* pieces(): AsyncGenerator<string> {
  yield "{";
  yield "}";
}

describe("AdminServer answers", () => {
  test("/livez with ok", async () => {
    const response = await fetch(`http://${await listen()}/livez`);
    expect([response.status, await response.text()]).toEqual([200, "ok\n"]);
  });

  test("/readyz with 503 and the reason until the node is ready", async () => {
    let ready = false;
    const address = await listen({
      ready: () => ({
        ready,
        checks: [
          { name: "store", ok: true, detail: "memory:" },
          { name: "workers", ok: ready, detail: "worker 1 has\nno table" },
        ],
      }),
    });
    const before = await fetch(`http://${address}/readyz`);
    expect([before.status, await before.text()]).toEqual([
      503,
      "[-] workers: worker 1 has?no table\nnot ok\n",
    ]);
    ready = true;
    const after = await fetch(`http://${address}/readyz`);
    expect([after.status, await after.text()]).toEqual([200, "ok\n"]);
    expect(await (await fetch(`http://${address}/readyz?verbose`)).text()).toBe(
      "[+] store: memory:\n[+] workers: worker 1 has?no table\nok\n",
    );
  });

  test("/healthz with 503 when any check fails", async () => {
    let ok = true;
    const address = await listen({ health: () => [{ name: "store", ok, detail: "away" }] });
    expect((await fetch(`http://${address}/healthz`)).status).toBe(200);
    ok = false;
    const response = await fetch(`http://${address}/healthz`);
    expect([response.status, await response.text()]).toEqual([503, "[-] store: away\nnot ok\n"]);
  });

  test("/metrics as Prometheus expects", async () => {
    const response = await fetch(`http://${await listen()}/metrics`);
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(await response.text()).toBe("crosspoint_info 1\n");
  });

  test("/snapshot as JSON, lazily from iterables", async () => {
    const address = await listen({ snapshot: () => ({ revision: 3, routes: routes(50_000) }) });
    const response = await fetch(`http://${address}/snapshot`);
    expect(response.headers.get("content-type")).toBe("application/json");
    const body = (await response.json()) as { revision: number; routes: unknown[] };
    expect(body.revision).toBe(3);
    expect(body.routes).toHaveLength(50_000);
    expect(body.routes[49_999]).toEqual({ name: "r49999", match: { domain: "d49999.test" } });
  });

  test("/snapshot of 100,000 routes without holding the event loop", async () => {
    const address = await listen({ snapshot: () => ({ routes: routes(100_000) }) });
    let turns = 0;
    const counting = setInterval(() => turns++, 1);
    const response = await fetch(`http://${address}/snapshot`);
    const { length } = await response.text();
    clearInterval(counting);
    expect(length).toBeGreaterThan(4_000_000);
    expect(turns).toBeGreaterThan(20);
  });

  test("/snapshot from text in pieces", async () => {
    const response = await fetch(`http://${await listen({ snapshot: pieces })}/snapshot`);
    expect(await response.json()).toEqual({});
  });

  test("HEAD without a body", async () => {
    const address = await listen();
    for (const path of ["/metrics", "/snapshot"]) {
      const text = await raw(address, `HEAD ${path} HTTP/1.0\r\n\r\n`);
      expect(text).toMatch(/^HTTP\/1\.1 200 [^]*\r\n\r\n$/);
    }
  });

  test("HEAD without reading the table", async () => {
    let read = 0;
    const address = await listen({ snapshot: () => counted(routes(10), () => read++) });
    await raw(address, "HEAD /snapshot HTTP/1.0\r\n\r\n");
    expect(read).toBe(0);
    await raw(address, "GET /snapshot HTTP/1.0\r\n\r\n");
    expect(read).toBe(10);
  });

  test("404 with what there is, 405 with what is allowed, and 500 without the secret", async () => {
    const address = await listen({
      metrics: () => {
        throw new Error("canary");
      },
    });
    const missing = await fetch(`http://${address}/`);
    expect([missing.status, await missing.text()]).toEqual([
      404,
      "not found; there is /livez, /readyz, /healthz, /metrics, /snapshot\n",
    ]);
    const post = await fetch(`http://${address}/livez`, { method: "POST", body: "x" });
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    const broken = await fetch(`http://${address}/metrics`);
    expect([broken.status, await broken.text()]).toEqual([
      500,
      "internal error; the log says more\n",
    ]);
  });

  test("every answer without CORS, and with what stops sniffing, framing and caching", async () => {
    const address = await listen();
    for (const path of ["/livez", "/snapshot", "/nothing"]) {
      const { headers } = await fetch(`http://${address}${path}`, {
        headers: { Origin: "http://x" },
      });
      expect(headers.get("access-control-allow-origin")).toBe(null);
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("cache-control")).toBe("no-store");
      expect(headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
    }
  });
});

describe("AdminServer and the Host field", () => {
  test.for([
    ["localhost", 200],
    ["LOCALHOST:7071", 200],
    ["127.0.0.1:7071", 200],
    ["192.0.2.1", 200],
    ["[::1]:7071", 200],
    ["rebind.example.com", 403],
    ["rebind.example.com:7071", 403],
    ["127.0.0.1.example.com", 403],
    ["localhost.example.com", 403],
    ["127.0.0.1@example.com", 403],
    ["[evil]", 403],
    ["", 403],
  ] as const)("answers %j with %i", async ([host, status]) => {
    const text = await raw(await listen(), `GET /livez HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    expect(text.slice(9, 12)).toBe(String(status));
  });
});

describe("AdminServer listens", () => {
  test("and names the address and port that is in use, and what to do", async () => {
    const address = await listen();
    const port = Number(address.split(":")[1]);
    const providers = {
      health: () => [],
      ready: () => ({ ready: true, checks: [] }),
      metrics: () => "",
      snapshot: () => ({}),
    };
    await expect(
      AdminServer.listen({ address: "127.0.0.1", port, providers, log: recordingLog() }),
    ).rejects.toMatchObject({
      code: "failed-precondition",
      message: `cannot listen for admin requests on 127.0.0.1:${port}: the port is in use by another process; free it or choose another with --admin`,
    });
  });

  test("and waits for, but closes in spite of, a reader of /snapshot that takes nothing", async () => {
    let read = 0;
    const endless = routes(Number.POSITIVE_INFINITY);
    const address = await listen({ snapshot: () => counted(endless, () => read++) });
    const socket = connect(Number(address.split(":")[1]), "127.0.0.1");
    socket.on("error", () => undefined);
    socket.write("GET /snapshot HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await once(socket, "readable");
    // The table is read no further than the kernel's buffers reach.
    for (let quietTurns = 0; quietTurns < 100; ) {
      const before = read;
      await setImmediate();
      quietTurns = read === before ? quietTurns + 1 : 0;
      expect(read).toBeLessThan(1_000_000);
    }
    await servers.pop()?.close();
    socket.destroy();
  });
});
