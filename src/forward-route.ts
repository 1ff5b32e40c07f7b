// What `crosspoint forward` adds to a node: the one route that leads its port to its service, by the calls
// that any other client would use. The backends are discovered.

import type { ForwardSetting } from "./config.ts";
import type { RouterCalls } from "./control/router-service.ts";
import { AddRouteRequest, Policy, PutServiceRequest } from "./gen/crosspoint/v1/router.ts";

const patience = { remainingMs: undefined, signal: new AbortController().signal };

/** Resolves once every worker serves the route; the port, which the node chose if the setting is 0. */
export async function provisionForward(
  calls: RouterCalls,
  { service, port }: ForwardSetting,
): Promise<number> {
  const settings = { service: { name: service, policy: Policy.ROUND_ROBIN } };
  await calls.putService(PutServiceRequest.fromPartial(settings), patience);
  const match = { $case: "tcp", value: { port } } as const;
  const { route } = await calls.addRoute(
    AddRouteRequest.fromPartial({ route: { name: "forward", service, match } }),
    patience,
  );
  return route?.match?.$case === "tcp" ? route.match.value.port : port;
}
