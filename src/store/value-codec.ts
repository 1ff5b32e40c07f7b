// Routes, services, backends and changes as JSON text, and back with every field checked.
//
// What is written is the model's own shape. What is read may have been damaged, or written by hand or by
// another version: a field of the wrong type or form throws "invalid-argument" naming it; one that is not
// known is ignored. Numbers of a name's length and form are those of model/names.ts.

import { parseAddress } from "../model/address.ts";
import { type Backend, backendWeightMax } from "../model/backend.ts";
import type { Change } from "../model/change.ts";
import { invalidField } from "../model/errors.ts";
import { parseLabels, parseRouteName, parseServiceName } from "../model/names.ts";
import type { Route } from "../model/route.ts";
import { Policy, ProxyProtocol, type Service } from "../model/service.ts";
import {
  fieldsOf,
  numberOf,
  optional,
  parseFields,
  textOf,
  textsOf,
  type ValueFields,
} from "./value-fields.ts";
import { routeOf } from "./value-route.ts";

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

function serviceOf(fields: ValueFields): Service {
  const name = parseServiceName(textOf(fields, "name"), "name");
  const policy = choiceOf(fields, "policy", Object.values(Policy));
  const proxyProtocol = choiceOf(fields, "proxyProtocol", Object.values(ProxyProtocol));
  return { name, policy, ...(proxyProtocol === undefined ? {} : { proxyProtocol }) };
}

function choiceOf<T>(fields: ValueFields, name: string, choices: readonly T[]): T | undefined {
  const written = fields.values[name];
  if (written === undefined) return undefined;
  const choice = choices.find((known) => known === written);
  if (choice !== undefined) return choice;
  throw invalidField(name, `${JSON.stringify(written)} is not one this version knows`);
}

function backendOf(fields: ValueFields): Backend {
  const weight = numberOf(fields, "weight");
  if (!Number.isInteger(weight) || weight < 1 || weight > backendWeightMax) {
    throw invalidField("weight", `${weight} is not within 1 to ${backendWeightMax}`);
  }
  const ttlMs = optional(fields, "ttlMs", numberOf);
  if (ttlMs !== undefined && ttlMs <= 0) throw invalidField("ttlMs", `${ttlMs} is not positive`);
  return {
    service: parseServiceName(textOf(fields, "service")),
    address: parseAddress(textOf(fields, "address")),
    weight,
    labels: parseLabels(textsOf(fields, "labels")),
    ttlMs,
  };
}
