// A web server that registers itself with a router, and renews that until it ends.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import { credentials } from "@grpc/grpc-js";
import { RegisterBackendRequest, RouterServiceClient } from "../../src/gen/crosspoint/v1/router.ts";

const service = "hello";
const ttlSeconds = 10n;
const renewEveryMs = 3_000; // three chances within the time to live

const server = createServer((_request, response) => response.end(`hello from ${address}\n`));
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;

const router = new RouterServiceClient(
  process.env["CROSSPOINT_RPC"] ?? "127.0.0.1:7070",
  credentials.createInsecure(),
);
const register = promisify((request: RegisterBackendRequest, done: (error: unknown) => void) =>
  router.registerBackend(request, done),
);

async function renew(): Promise<void> {
  try {
    await register(
      RegisterBackendRequest.fromPartial({
        backend: { service, address },
        ttl: { seconds: ttlSeconds },
      }),
    );
  } catch (error) {
    console.error(`not registered, trying again: ${String(error)}`);
  }
}

await renew();
console.log(`${service} at ${address}`);
const timer = setInterval(() => void renew(), renewEveryMs);

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    clearInterval(timer);
    router.deregisterBackend({ service, address, drain: undefined }, () => {
      router.close();
      server.close();
      server.closeIdleConnections();
    });
  });
}
