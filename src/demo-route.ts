// What `--demo` adds to a node: two sample backends and the route that leads to them, by the calls
// that any other client would use.

import type { RouterCalls } from "./control/router-service.ts";
import { type DemoBackends, demoDomain, startDemoBackends } from "./demo.ts";
import {
  AddRouteRequest,
  Policy,
  PutServiceRequest,
  RegisterBackendRequest,
} from "./gen/crosspoint/v1/router.ts";
import type { System } from "./system.ts";

const service = "demo";
const patience = { remainingMs: undefined, signal: new AbortController().signal };

/** Registered anew this often, so that nothing of the demo outlives the node for long, however it ends. */
const renewMs = 10_000;
const ttlSeconds = 30n;

export async function provisionDemo(calls: RouterCalls, system: System): Promise<DemoBackends> {
  const backends = await startDemoBackends();
  const register = async (): Promise<void> => {
    for (const address of backends.addresses) {
      const request = { backend: { service, address }, ttl: { seconds: ttlSeconds } };
      await calls.registerBackend(RegisterBackendRequest.fromPartial(request), patience);
    }
  };
  // Their turns are strict as long as one worker takes all requests: config.ts sees to that.
  const settings = { service: { name: service, policy: Policy.ROUND_ROBIN } };
  await calls.putService(PutServiceRequest.fromPartial(settings), patience);
  await register();
  // A failure is told by the next listing, and cured by the next round.
  const endRenewal = system.every(renewMs, () => void register().catch(() => undefined));
  await calls.addRoute(
    AddRouteRequest.fromPartial({
      route: { service, match: { $case: "http", value: { domain: demoDomain } } },
    }),
    patience,
  );
  return {
    addresses: backends.addresses,
    close: () => {
      endRenewal();
      return backends.close();
    },
  };
}
