// proto -> model: every field of a request is checked here, once, and named by its proto path.
//
// Throws RouterError "invalid-argument" ("unimplemented" for what the contract has and we have not).

import type { ExplainQuestion } from "../channel/messages.ts";
import type { ExplainRequest, HttpProbeRequest } from "../gen/crosspoint/v1/router.ts";
import * as proto from "../gen/crosspoint/v1/router.ts";
import type { Duration } from "../gen/google/protobuf/duration.ts";
import {
  backendTtlMsMax,
  backendTtlMsMin,
  changesPerRequestMax,
  requestIdCharactersMax,
} from "../limits.ts";
import { parseAddress } from "../model/address.ts";
import { type Backend, backendWeightDefault, backendWeightMax } from "../model/backend.ts";
import { invalidField } from "../model/errors.ts";
import { Fields } from "../model/fields.ts";
import { parseIp } from "../model/ip-address.ts";
import { parseLabels, parsePort, parseRouteName, parseServiceName } from "../model/names.ts";
import { parseRevision, type Revision } from "../model/revision.ts";
import type { ChangeDraft } from "./change-plan.ts";
import { parseDurationMs } from "./duration.ts";
import { parseRoute } from "./parse-route.ts";
import { parseService } from "./parse-service.ts";

/** How far a change must have travelled before the call answers. */
export type Wait = "none" | "node" | "all";

export function parseWait(wait: number): Wait {
  switch (wait) {
    case proto.Wait.NONE:
      return "none";
    case proto.Wait.UNSPECIFIED:
    case proto.Wait.NODE:
      return "node";
    case proto.Wait.ALL:
      return "all";
    default:
      throw invalidField("wait", `${wait} is not one of WAIT_NONE, WAIT_NODE, WAIT_ALL`);
  }
}

export function parseFieldRevision(revision: bigint, field: string): Revision {
  if (revision < 0n || revision > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw invalidField(field, `${revision} is not a revision (0 to 2^53 - 1)`);
  }
  return parseRevision(revision);
}

/** Printable ASCII without the space; "" is none. */
export function parseRequestId(id: string): string {
  if (id.length > requestIdCharactersMax) {
    throw invalidField(
      "request_id",
      `is ${id.length} characters long; at most ${requestIdCharactersMax} are allowed`,
    );
  }
  if (!/^[!-~]*$/.test(id)) {
    throw invalidField("request_id", "holds something else than printable ASCII");
  }
  return id;
}

export function parseChanges(messages: readonly proto.Change[]): ChangeDraft[] {
  if (messages.length === 0) throw invalidField("changes", "is required: at least one change");
  if (messages.length > changesPerRequestMax) {
    throw invalidField(
      "changes",
      `has ${messages.length} entries; at most ${changesPerRequestMax} are allowed: send several requests`,
    );
  }
  const fields = new Fields();
  const drafts = messages.map((message, index) =>
    fields.read(() => parseChange(message, `changes[${index}]`)),
  );
  fields.throwIfWrong();
  return drafts.filter((draft) => draft !== undefined);
}

function parseChange({ change }: proto.Change, field: string): ChangeDraft {
  switch (change?.$case) {
    case "putRoute":
      return parseRoute(change.value, "put", `${field}.put_route`);
    case "removeRoute": {
      const path = `${field}.remove_route`;
      return { kind: "remove-route", name: parseRouteName(change.value, path), field: path };
    }
    case "putService": {
      const path = `${field}.put_service`;
      return { kind: "put-service", service: parseService(change.value, path), field: path };
    }
    case "removeService": {
      const path = `${field}.remove_service`;
      return { kind: "remove-service", name: parseServiceName(change.value, path), field: path };
    }
    default:
      throw invalidField(
        field,
        "one of put_route, remove_route, put_service, remove_service is required",
      );
  }
}

export function parseBackend(
  message: proto.Backend | undefined,
  ttl: Duration | undefined,
): Backend {
  if (message === undefined) throw invalidField("backend", "is required");
  const fields = new Fields();
  const service = fields.read(() => parseServiceName(message.service, "backend.service"));
  const address = fields.read(() => parseAddress(message.address, "backend.address"));
  const weight = fields.read(() => parseWeight(message.weight));
  const labels = fields.read(() => parseLabels(message.labels, "backend.labels"));
  const ttlMs = fields.read(() => (ttl === undefined ? undefined : parseTtlMs(ttl)));
  fields.throwIfWrong();
  return { service: service!, address: address!, weight: weight!, labels: labels!, ttlMs };
}

function parseWeight(weight: number): number {
  if (weight === 0) return backendWeightDefault;
  if (weight > backendWeightMax) {
    throw invalidField("backend.weight", `${weight} is not a weight (1 to ${backendWeightMax})`);
  }
  return weight;
}

function parseTtlMs(ttl: Duration): number {
  const ms = parseDurationMs(ttl, "ttl");
  if (ms < backendTtlMsMin || ms > backendTtlMsMax) {
    throw invalidField(
      "ttl",
      `is ${ms} ms; from ${backendTtlMsMin} to ${backendTtlMsMax} ms are allowed`,
    );
  }
  return ms;
}

export function parseQuestion({ request }: ExplainRequest): ExplainQuestion {
  switch (request?.$case) {
    case "http":
      return parseHttpQuestion(request.value);
    case "tcpPort":
      return { kind: "tcp", port: parsePort(request.value, "tcp_port") };
    default:
      throw invalidField("request", "one of http and tcp_port is required");
  }
}

/** Only what could arrive as a request may be asked about. */
function parseHttpQuestion(probe: HttpProbeRequest): ExplainQuestion {
  const { host, headers } = probe;
  const method = probe.method === "" ? "GET" : probe.method;
  const path = probe.path === "" ? "/" : probe.path;
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/.test(method)) {
    throw invalidField("http.method", "is not an HTTP method");
  }
  if (!/^[!-~]{1,300}$/.test(host)) {
    throw invalidField("http.host", "is required: a host name as in the Host field");
  }
  if (!/^\/[!-~]{0,8191}$/.test(path)) {
    throw invalidField("http.path", 'is not a path: it starts with "/" and holds printable ASCII');
  }
  for (const [name, value] of Object.entries(headers)) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || !/^[\t -~]*$/.test(value)) {
      throw invalidField("http.headers", `${JSON.stringify(name.slice(0, 80))} is not a field`);
    }
  }
  const { clientAddress } = probe;
  if (clientAddress !== "" && parseIp(clientAddress) === undefined) {
    throw invalidField(
      "http.client_address",
      `${JSON.stringify(clientAddress.slice(0, 80))} is not an IP address`,
    );
  }
  return { kind: "http", method, host, path, headers, clientAddress };
}
