// Goal: clients that share no code with us get along: one needs no files at all, the other only the proto.
// Method: `buf curl` from npm, by reflection alone, and proto-loader, against a real server.

import { execFile } from "node:child_process";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { describe, expect, onTestFinished, test } from "vitest";
import { startRpcNode } from "../support/rpc-node.ts";
import { root } from "../support/source-tree.ts";

interface Ended {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

function bufCurl(...words: readonly string[]): Promise<Ended> {
  const buf = join(root, "node_modules/.bin/buf");
  return new Promise((resolve) => {
    const options = { timeout: 15_000 };
    execFile(buf, ["curl", "--protocol", "grpc", ...words], options, (error, out, err) =>
      resolve({ status: Number(error?.code ?? 0), out, err }),
    );
  });
}

describe("buf curl, by reflection", () => {
  test("lists the services and their methods", async () => {
    const { server } = await startRpcNode();
    const services = await bufCurl(`http://${server.address}`, "--list-services");
    expect(services.err).toBe("");
    expect(services.out.trim().split("\n")).toEqual([
      "crosspoint.v1.RouterService",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ]);
    const methods = await bufCurl(`http://${server.address}`, "--list-methods");
    expect(methods.out).toContain("crosspoint.v1.RouterService/AddRoute\n");
    expect(methods.out).toContain("grpc.health.v1.Health/Check\n");
  });

  test.for(["grpc-v1", "grpc-v1alpha"])(
    "calls over %s; durations, maps and oneofs are right",
    async (protocol) => {
      const { server } = await startRpcNode();
      const call = (method: string, request: object): Promise<Ended> =>
        bufCurl(
          "--reflect-protocol",
          protocol,
          "-d",
          JSON.stringify(request),
          `http://${server.address}/crosspoint.v1.RouterService/${method}`,
        );
      const route = { http: { domain: "App.example.com" }, service: "web", labels: { team: "x" } };
      const added = await call("AddRoute", { route, wait: "WAIT_ALL" });
      expect(added.err).toBe("");
      expect(JSON.parse(added.out)).toMatchObject({
        revision: "1",
        route: {
          name: "app-example-com",
          http: { domain: "app.example.com", pathPrefix: "/" },
          labels: { team: "x" },
          createTime: expect.stringMatching(/^\d{4}-.*Z$/),
        },
      });
      const backend = { service: "web", address: "10.0.0.7:80" };
      const registered = await call("RegisterBackend", { backend, ttl: "1.5s" });
      expect(JSON.parse(registered.out)).toEqual({ revision: "2" });
      const short = await call("RegisterBackend", { backend, ttl: "0.5s" });
      expect([short.status, JSON.parse(short.err)]).toEqual([
        24,
        expect.objectContaining({ code: "invalid_argument" }),
      ]);
      expect(short.err).toContain("ttl: is 500 ms");
      expect((await call("GetRoute", { name: "nobody" })).status).toBe(40);
      const conflict = await call("AddRoute", { route: { ...route, service: "api" } });
      expect([conflict.status, conflict.err]).toEqual([
        48,
        expect.stringContaining("app-example-com"),
      ]);
    },
  );

  test("asks for health", async () => {
    const { server } = await startRpcNode();
    const check = `http://${server.address}/grpc.health.v1.Health/Check`;
    const { out } = await bufCurl("-d", "{}", check);
    expect(JSON.parse(out)).toEqual({ status: "SERVING" });
  });
});

describe("a client that knows only the proto file", () => {
  test("adds a route and watches it, with names and enums of the contract", async () => {
    const { server } = await startRpcNode();
    const definition = loadSync("crosspoint/v1/router.proto", {
      includeDirs: [join(root, "proto")],
      keepCase: true,
      longs: String,
      enums: String,
      oneofs: true,
      defaults: true,
    });
    const { crosspoint } = grpc.loadPackageDefinition(definition) as any;
    const client = new crosspoint.v1.RouterService(
      server.address,
      grpc.credentials.createInsecure(),
    );
    onTestFinished(() => client.close());
    const added: any = await new Promise((resolve, reject) => {
      const route = { http: { domain: "app.example.com" }, service: "web", labels: { team: "x" } };
      client.AddRoute({ route, wait: "WAIT_ALL" }, (error: Error | null, value: unknown) =>
        error === null ? resolve(value) : reject(error),
      );
    });
    expect(added).toMatchObject({
      revision: "1",
      lagging: [],
      route: { name: "app-example-com", match: "http", labels: { team: "x" }, revision: "1" },
    });
    const watch = client.Watch({ after_revision: "0" });
    watch.on("error", () => undefined);
    const first = await new Promise((resolve) => watch.once("data", resolve));
    expect(first).toMatchObject({ event: "route_put", route_put: { http: { path_prefix: "/" } } });
    watch.cancel();
  });
});
