// Services and backends as proto3 JSON of crosspoint.v1, so that a hand can read and write them with etcdctl; written
// here by hand, since a store does not know the API's generated code. Routes are in etcd-route-values.
//
// What the key says may be left out of the value; where it is there it must agree. A field that this version does
// not know sets the entry aside: half a route served is worse than its last good version served on.

import { parseAddress } from "../model/address.ts";
import {
  type Backend,
  type BackendDrain,
  backendWeightDefault,
  backendWeightMax,
} from "../model/backend.ts";
import { invalidField } from "../model/errors.ts";
import { parseLabels } from "../model/names.ts";
import type { Revision } from "../model/revision.ts";
import { Policy, ProxyProtocol, type Service } from "../model/service.ts";
import { type JsonFields, parseJsonFields } from "./etcd-json.ts";
import type { EntryPlace } from "./etcd-layout.ts";
import { encodedServiceOptions, takeServiceOptions } from "./etcd-service-options.ts";
import {
  agree,
  decodedChoice,
  decodedDuration,
  decodedTime,
  encodedDuration,
  encodedLabels,
  encodedTime,
  inObject,
} from "./etcd-words.ts";

export type PlaceOf<Kind extends EntryPlace["kind"]> = Extract<EntryPlace, { readonly kind: Kind }>;

/** What etcd itself knows of an entry. */
export interface EntryFacts {
  /** When it was last written. */
  readonly revision: Revision;
  /** Since when there is a value, whatever it was. */
  readonly created: Revision;
  /** It goes when its lease ends. */
  readonly leased: boolean;
}

export function encodeService({ policy, proxyProtocol, options }: Service): string {
  return JSON.stringify({
    ...(policy === undefined ? {} : { policy: policyNames[policy] }),
    ...(proxyProtocol === undefined ? {} : { proxyProtocol: proxyProtocolNames[proxyProtocol] }),
    ...(options === undefined ? {} : encodedServiceOptions(options)),
  });
}

/** Throws "invalid-argument" naming the field and what is wrong with it. */
export function decodeService(text: string, { name }: PlaceOf<"service">): Service {
  const fields = parseJsonFields(text);
  agree(fields, "name", fields.text("name"), name);
  const policy = decodedChoice(fields, "policy", "policy", policies);
  const proxyProtocol = decodedChoice(fields, "proxyProtocol", "PROXY protocol", proxyProtocols);
  const optionsOf = takeServiceOptions(fields);
  // Who misspells a field shall hear of that, and not that the right one is missing.
  fields.refuseOthers();
  const options = optionsOf();
  return {
    name,
    policy,
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
    ...(options === undefined ? {} : { options }),
  };
}

export function encodeBackend({ weight, labels, ttlMs, drain }: Backend): string {
  return JSON.stringify({
    ...(weight === backendWeightDefault ? {} : { weight }),
    ...encodedLabels(labels),
    ...encodedDuration("ttl", ttlMs),
    ...(drain === undefined ? {} : { drain: encodedDrain(drain) }),
  });
}

function encodedDrain({ state, deadlineMs, cut }: BackendDrain): object {
  return {
    state: drainStateNames[state],
    ...encodedTime("deadline", deadlineMs),
    ...(cut === undefined ? {} : { cut }),
  };
}

/** Throws as `decodeService`. Without a lease nothing ends the backend, so it has no TTL whatever the value says. */
export function decodeBackend(
  text: string,
  { service, address }: PlaceOf<"backend">,
  { leased, created }: EntryFacts,
): Backend {
  const fields = parseJsonFields(text);
  agree(fields, "service", fields.text("service"), service);
  const written = fields.text("address");
  agree(fields, "address", written === undefined ? undefined : parseAddress(written), address);
  const weight = fields.integer("weight") ?? 0;
  if (weight < 0 || weight > backendWeightMax) {
    throw invalidField("weight", `${weight} is not a weight (1 to ${backendWeightMax})`);
  }
  const labels = parseLabels(fields.texts("labels"));
  const ttlMs = decodedDuration(fields, "ttl");
  const drain = inObject(fields, "drain", decodedDrain);
  fields.refuseOthers();
  return {
    service,
    address,
    weight: weight === 0 ? backendWeightDefault : weight,
    labels,
    ttlMs: leased ? ttlMs : undefined,
    joined: created,
    ...(drain === undefined ? {} : { drain }),
  };
}

function decodedDrain(fields: JsonFields): BackendDrain {
  const state = decodedChoice(fields, "state", "state", drainStates);
  const deadlineMs = decodedTime(fields, "deadline");
  const cut = fields.integer("cut");
  if (state === undefined) throw invalidField(fields.path("state"), "is required");
  if (cut !== undefined && cut < 0) throw invalidField(fields.path("cut"), `${cut} is no count`);
  return { state, deadlineMs, ...(cut === undefined ? {} : { cut }) };
}

const drainStateNames = { draining: "STATE_DRAINING", drained: "STATE_DRAINED" } as const;
/** By their numbers in crosspoint.v1.BackendDrain.State. */
const drainStates: readonly (readonly [string, BackendDrain["state"] | undefined])[] = [
  ["STATE_UNSPECIFIED", undefined],
  [drainStateNames.draining, "draining"],
  [drainStateNames.drained, "drained"],
];

const policyNames: Readonly<Record<Policy, string>> = {
  [Policy.Random]: "POLICY_RANDOM",
  [Policy.RoundRobin]: "POLICY_ROUND_ROBIN",
  [Policy.LeastLoaded]: "POLICY_LEAST_LOADED",
  [Policy.PeakEwma]: "POLICY_PEAK_EWMA",
  [Policy.RingHash]: "POLICY_RING_HASH",
  [Policy.Leader]: "POLICY_LEADER",
};
/** By their numbers in crosspoint.v1.Policy; undefined: not set. */
const policies: readonly (readonly [string, Policy | undefined])[] = [
  ["POLICY_UNSPECIFIED", undefined],
  [policyNames[Policy.Random], Policy.Random],
  [policyNames[Policy.RoundRobin], Policy.RoundRobin],
  [policyNames[Policy.LeastLoaded], Policy.LeastLoaded],
  [policyNames[Policy.PeakEwma], Policy.PeakEwma],
  [policyNames[Policy.RingHash], Policy.RingHash],
  [policyNames[Policy.Leader], Policy.Leader],
];

const proxyProtocolNames: Readonly<Record<ProxyProtocol, string>> = {
  [ProxyProtocol.V1]: "PROXY_PROTOCOL_V1",
  [ProxyProtocol.V2]: "PROXY_PROTOCOL_V2",
};
/** By their numbers in crosspoint.v1.ProxyProtocol; undefined: none is sent. */
const proxyProtocols: readonly (readonly [string, ProxyProtocol | undefined])[] = [
  ["PROXY_PROTOCOL_UNSPECIFIED", undefined],
  [proxyProtocolNames[ProxyProtocol.V1], ProxyProtocol.V1],
  [proxyProtocolNames[ProxyProtocol.V2], ProxyProtocol.V2],
];
