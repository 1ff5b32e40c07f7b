// Goal: what a line and a limit say holds across what happens meanwhile: a pause nobody waited for, backends that are
// left out, settings that change, backends that come back. Method: real choices at real gates, time by hand.

import { describe, expect, test } from "vitest";
import { parseAddress } from "../../src/model/address.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { GateWorld } from "../support/gate-world.ts";
import { backendOf } from "../support/table-fixtures.ts";

const pause = { queue: 1_000, queueMs: 30_000, sinceMs: 1 };

describe("a pause that nobody waited for", () => {
  test("leaves nothing of its bounds: the limits' own hold again", () => {
    const limits = { requests: 1 };
    const world = new GateWorld({ service: { limits } });
    world.request().end();
    world.configure({ limits, pause });
    world.configure({ limits });
    const first = world.request();
    expect(first.state).toBe("went");
    expect(world.request().state).toBe("service-full");
    first.end();
  });
});

describe("a pause that many waited for", () => {
  test("has its bounds as long as one of them is left, and no longer", () => {
    const limits = { requests: 1, queue: 1 };
    const world = new GateWorld({ service: { limits } });
    world.configure({ limits, pause });
    const [first, second] = [world.request(), world.request()];
    world.pass(1);
    world.configure({ limits });
    world.pass(1);
    expect([first.state, second.state]).toEqual(["went", "waits"]);
    const third = world.request();
    expect(third.state).toBe("waits");
    first.end();
    world.pass(1);
    expect([second.state, third.state]).toEqual(["went", "waits"]);
    expect(world.request().state).toBe("service-full");
    second.end();
    world.pass(1);
    expect(third.state).toBe("went");
    third.end();
  });
});

describe("backends that are left out", () => {
  test("get nothing of what the others have no room for: that waits", () => {
    const world = new GateWorld({
      backends: 2,
      service: { limits: { requestsPerBackend: 1, queue: 5 } },
    });
    const { service } = world.workers[0]!;
    service.backends[1]!.stand({ check: "unhealthy", checkReason: "no answer" });
    service.refresh();
    const first = world.request();
    expect(first.backend).toBe("10.0.0.1:80");
    const second = world.request();
    expect([second.state, second.backend]).toEqual(["waits", ""]);
    first.end();
    world.pass(1);
    expect([second.state, second.backend]).toEqual(["went", "10.0.0.1:80"]);
    second.end();
  });
});

test("who comes in the turn in which the limits are taken away goes behind those who wait", () => {
  const world = new GateWorld({ service: { limits: { requests: 1, queue: 1 } } });
  const [first, second] = [world.request(), world.request()];
  world.configure(undefined);
  const third = world.request();
  expect(third.state).toBe("waits");
  world.pass(1);
  expect([second.state, third.state]).toEqual(["went", "went"]);
  for (const each of [first, second, third]) each.end();
});

describe("a limit of each backend", () => {
  test("is not used up by what was in flight when it was taken away for a while", () => {
    const world = new GateWorld({
      workers: 2,
      service: { limits: { requests: 100, requestsPerBackend: 1, queue: 5 } },
    });
    const first = world.request(0);
    expect(first.state).toBe("went");
    world.configure({ limits: { requests: 100, queue: 5 } });
    first.end();
    world.configure({ limits: { requests: 100, requestsPerBackend: 1, queue: 5 } });
    const second = world.request(1);
    expect(second.state).toBe("went");
    second.end();
  });

  test("holds over a backend that is removed and comes back while it serves", () => {
    const world = new GateWorld({
      workers: 2,
      service: { limits: { requestsPerBackend: 1, queue: 5 } },
    });
    const before = world.request(0);
    const [service, address] = [parseServiceName("web"), parseAddress("10.0.0.1:80")];
    world.change([{ kind: "backend-removed", service, address }]);
    world.change([{ kind: "backend-put", backend: backendOf("web", address) }]);
    const after = world.request(0);
    expect(after.state).toBe("waits");
    before.end();
    world.pass(1);
    expect(after.state).toBe("went");
    expect(world.request(1).state).toBe("waits");
    after.end();
  });
});
