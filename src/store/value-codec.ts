// Routes, services, backends and changes as JSON text, and back with every field checked.
//
// What is written is the model's own shape. What is read may have been damaged, or written by hand or by
// another version: a field of the wrong type or form throws "invalid-argument" naming it; one that is not
// known is ignored. Numbers of a name's length and form are those of model/names.ts.

import { parseAddress } from "../model/address.ts";
import { type Backend, type BackendDrain, backendWeightMax } from "../model/backend.ts";
import type { Change } from "../model/change.ts";
import { invalidField } from "../model/errors.ts";
import { parseLabels, parseRouteName, parseServiceName } from "../model/names.ts";
import { parseRevision } from "../model/revision.ts";
import type { Route } from "../model/route.ts";
import type { Service } from "../model/service.ts";
import {
  fieldsOf,
  numberOf,
  oneOf,
  optional,
  parseFields,
  textOf,
  textsOf,
  type ValueFields,
} from "./value-fields.ts";
import { routeOf } from "./value-route.ts";
import { serviceOf } from "./value-service.ts";

export function encodeValue(value: Route | Service | Backend | Change): string {
  return JSON.stringify(value);
}

export function decodeRoute(text: string): Route {
  return routeOf(parseFields(text));
}

export function decodeService(text: string): Service {
  return serviceOf(parseFields(text));
}

export function decodeBackend(text: string): Backend {
  return backendOf(parseFields(text));
}

export function decodeChange(text: string): Change {
  const fields = parseFields(text);
  const kind = textOf(fields, "kind");
  switch (kind) {
    case "route-put":
      return { kind, route: routeOf(fieldsOf(fields, "route")) };
    case "route-removed":
      return { kind, name: parseRouteName(textOf(fields, "name")) };
    case "service-put":
      return { kind, service: serviceOf(fieldsOf(fields, "service")) };
    case "service-removed":
      return { kind, name: parseServiceName(textOf(fields, "name"), "name") };
    case "backend-put":
      return { kind, backend: backendOf(fieldsOf(fields, "backend")) };
    case "backend-removed":
      return {
        kind,
        service: parseServiceName(textOf(fields, "service")),
        address: parseAddress(textOf(fields, "address")),
      };
    default:
      throw invalidField("kind", `${JSON.stringify(kind)} is not a change that this version knows`);
  }
}

function backendOf(fields: ValueFields): Backend {
  const weight = numberOf(fields, "weight");
  if (!Number.isInteger(weight) || weight < 1 || weight > backendWeightMax) {
    throw invalidField("weight", `${weight} is not within 1 to ${backendWeightMax}`);
  }
  const ttlMs = optional(fields, "ttlMs", numberOf);
  if (ttlMs !== undefined && ttlMs <= 0) throw invalidField("ttlMs", `${ttlMs} is not positive`);
  const joined = optional(fields, "joined", (of, name) => parseRevision(numberOf(of, name)));
  const drain = optional(fields, "drain", (of, name) => drainOf(fieldsOf(of, name)));
  return {
    service: parseServiceName(textOf(fields, "service")),
    address: parseAddress(textOf(fields, "address")),
    weight,
    labels: parseLabels(textsOf(fields, "labels")),
    ttlMs,
    // Versions before 0.2 did not write it.
    ...(joined === undefined ? {} : { joined }),
    ...(drain === undefined ? {} : { drain }),
  };
}

function drainOf(fields: ValueFields): BackendDrain {
  const state = oneOf(fields, "state", ["draining", "drained"] as const);
  const deadlineMs = numberOf(fields, "deadlineMs");
  const cut = optional(fields, "cut", numberOf);
  return { state, deadlineMs, ...(cut === undefined ? {} : { cut }) };
}
