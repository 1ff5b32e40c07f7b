// Routes, services, backends and changes as JSON text, and back with every field checked.
//
// What is written is the model's own shape. What is read may have been damaged, or written by hand or by
// another version: a field of the wrong type or form throws "invalid-argument" naming it; one that is not
// known is ignored. Numbers of a name's length and form are those of model/names.ts.

import { parseAddress } from "../model/address.ts";
import { type Backend, backendWeightMax } from "../model/backend.ts";
import type { Change } from "../model/change.ts";
import { invalidField } from "../model/errors.ts";
import {
  type Labels,
  parseDomain,
  parseLabels,
  parsePathPrefix,
  parsePort,
  parseRouteName,
  parseServiceName,
} from "../model/names.ts";
import { parseRevision } from "../model/revision.ts";
import type { Route, RouteMatch } from "../model/route.ts";
import { Policy, ProxyProtocol, type Service } from "../model/service.ts";

type Fields = Readonly<Record<string, unknown>>;

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

function routeOf(fields: Fields): Route {
  return {
    name: parseRouteName(textOf(fields, "name")),
    match: matchOf(fieldsOf(fields, "match")),
    service: parseServiceName(textOf(fields, "service")),
    sticky: flagOf(fields, "sticky"),
    labels: labelsOf(fields),
    revision: parseRevision(numberOf(fields, "revision")),
    // Version 0.1 did not write it.
    matchRevision: parseRevision(
      numberOf(fields, fields["matchRevision"] === undefined ? "revision" : "matchRevision"),
    ),
    createTimeMs: numberOf(fields, "createTimeMs"),
    updateTimeMs: numberOf(fields, "updateTimeMs"),
  };
}

function matchOf(fields: Fields): RouteMatch {
  const kind = textOf(fields, "kind");
  if (kind === "tcp") return { kind, port: parsePort(numberOf(fields, "port")) };
  if (kind !== "http") throw invalidField("match", `${JSON.stringify(kind)} is not http or tcp`);
  return {
    kind,
    domain: parseDomain(textOf(fields, "domain")),
    pathPrefix: parsePathPrefix(textOf(fields, "pathPrefix")),
  };
}

function serviceOf(fields: Fields): Service {
  const name = parseServiceName(textOf(fields, "name"), "name");
  const policy = choiceOf(fields, "policy", Object.values(Policy));
  const proxyProtocol = choiceOf(fields, "proxyProtocol", Object.values(ProxyProtocol));
  return { name, policy, ...(proxyProtocol === undefined ? {} : { proxyProtocol }) };
}

function choiceOf<T>(fields: Fields, name: string, choices: readonly T[]): T | undefined {
  const written = fields[name];
  if (written === undefined) return undefined;
  const choice = choices.find((known) => known === written);
  if (choice !== undefined) return choice;
  throw invalidField(name, `${JSON.stringify(written)} is not one this version knows`);
}

function backendOf(fields: Fields): Backend {
  const weight = numberOf(fields, "weight");
  if (!Number.isInteger(weight) || weight < 1 || weight > backendWeightMax) {
    throw invalidField("weight", `${weight} is not within 1 to ${backendWeightMax}`);
  }
  const ttlMs = fields["ttlMs"] === undefined ? undefined : numberOf(fields, "ttlMs");
  if (ttlMs !== undefined && ttlMs <= 0) throw invalidField("ttlMs", `${ttlMs} is not positive`);
  return {
    service: parseServiceName(textOf(fields, "service")),
    address: parseAddress(textOf(fields, "address")),
    weight,
    labels: labelsOf(fields),
    ttlMs,
  };
}

function labelsOf(fields: Fields): Labels {
  const labels = fieldsOf(fields, "labels");
  return parseLabels(
    Object.fromEntries(Object.keys(labels).map((key) => [key, textOf(labels, key)])),
  );
}

function parseFields(text: string): Fields {
  const value: unknown = JSON.parse(text);
  if (!isFields(value)) throw invalidField("value", "is not a JSON object");
  return value;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fieldsOf(fields: Fields, field: string): Fields {
  const value = fields[field];
  if (!isFields(value)) throw invalidField(field, "is not a JSON object");
  return value;
}

function textOf(fields: Fields, field: string): string {
  const value = fields[field];
  if (typeof value !== "string") throw invalidField(field, "is not a text");
  return value;
}

function numberOf(fields: Fields, field: string): number {
  const value = fields[field];
  if (typeof value !== "number") throw invalidField(field, "is not a number");
  return value;
}

function flagOf(fields: Fields, field: string): boolean {
  const value = fields[field];
  if (typeof value !== "boolean") throw invalidField(field, "is not true or false");
  return value;
}
