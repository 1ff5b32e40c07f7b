// The file that `apply` takes and `export` prints: routes and services in YAML or JSON.
//
// An entry is the message in proto3 JSON form, or the short form: `domain: app.example.com/api` or
// `port: 5432` for a route's match, `policy: round-robin`, `proxyProtocol: v1` and `check: http:/healthz` for a service.
// A key that nobody knows is an error with its line: a misspelt setting must not be left out in silence.

import { Change, Route, Service } from "../gen/crosspoint/v1/router.ts";
import { assert, RouterError } from "../model/errors.ts";
import { didYouMean } from "../nearest.ts";
import { formatYaml, parseYaml, type YamlFile, type YamlPath } from "../yaml.ts";
import { parseCheck, parseDomainPath, parsePortWord } from "./parse-words.ts";
import {
  type Coder,
  faultOf,
  type JsonField,
  jsonFieldsOf,
  messageFromJson,
  messageToShortJson,
} from "./proto-json.ts";
import { policies, policyText, proxyProtocols, proxyProtocolText } from "./show.ts";

/** What a file asks for, with where each change stands in it. */
export interface ApplyFile {
  /** Services first: a route may lead to one whose settings stand below it. */
  readonly changes: readonly Change[];
  /** "routes.yaml:12" for the change at `index`. */
  placeOf(index: number): string;
}

/** Throws "invalid-argument" with file, line, and what is wrong. */
export function parseApplyFile(text: string, name: string): ApplyFile {
  const file = parseYaml(text, name);
  const reader = new Reader(file, name);
  const top = reader.object(file.value ?? {}, []);
  reader.refuseUnknown(top, ["routes", "services"], []);
  const services = reader.list(top["services"], "services").map((entry, i) => ({
    change: putService(reader, entry, ["services", i]),
    path: ["services", i],
  }));
  const routes = reader.list(top["routes"], "routes").map((entry, i) => ({
    change: putRoute(reader, entry, ["routes", i]),
    path: ["routes", i],
  }));
  const all = [...services, ...routes];
  return {
    changes: all.map(({ change }) => change),
    placeOf: (index) => reader.place(all[index]?.path ?? []),
  };
}

/** The table in the form that apply takes: the short form as YAML, the proto3 form as JSON. */
export function formatApplyFile(
  table: {
    readonly routes: readonly Route[];
    readonly services: readonly Service[];
    readonly revision: bigint;
  },
  as: "yaml" | "json",
): string {
  const routes = table.routes.map(withoutOutput);
  // A service without settings exists because a route or a backend names it: there is nothing to put.
  const services = table.services.map(withoutPause).filter(hasSettings);
  if (as === "json") {
    const all = {
      services: services.map((service) => messageToShortJson("Service", Service, service)),
      routes: routes.map((route) => messageToShortJson("Route", Route, route)),
    };
    return JSON.stringify(all, undefined, 2);
  }
  const shown = {
    ...(services.length === 0 ? {} : { services: services.map(shortService) }),
    routes: routes.map(shortRoute),
  };
  return `# revision ${table.revision}\n${formatYaml(shown)}`.trimEnd();
}

function hasSettings(service: Service): boolean {
  return Service.encode({ ...service, name: "" }).finish().length > 0;
}

/** A pause is the node's to say. */
function withoutPause(service: Service): Service {
  return { ...service, pause: undefined };
}

/** What a user can set. */
function withoutOutput(route: Route): Route {
  return { ...route, revision: 0n, createTime: undefined, updateTime: undefined };
}

/** The message in proto3 JSON, but for a match that is a domain and a path prefix, or a port. */
function shortRoute(route: Route): Record<string, unknown> {
  const json = messageToShortJson("Route", Route, route);
  assert(isEntry(json), "a message is an object");
  const { name = "", http, tcp: _, service, ...others } = json;
  return {
    name,
    ...(route.match?.$case === "tcp" ? { port: route.match.value.port } : shortMatch(route, http)),
    ...(service === undefined ? {} : { service }),
    ...others,
  };
}

function shortMatch({ match }: Route, json: unknown): Record<string, unknown> {
  if (match?.$case !== "http") return {};
  const { domain, pathPrefix, path, methods, headers, query } = match.value;
  const prefix = pathPrefix === "/" ? "" : pathPrefix;
  if (path === "" && methods.length + headers.length + query.length === 0) {
    return { domain: `${domain}${prefix}` };
  }
  assert(isEntry(json), "a message is an object");
  const { pathPrefix: _, ...others } = json;
  return { http: prefix === "" ? others : json };
}

/** The message in proto3 JSON, with policy and version as on the command line. */
function shortService(service: Service): Record<string, unknown> {
  const json = messageToShortJson("Service", Service, service);
  assert(isEntry(json), "a message is an object");
  const { name = "", policy: _, proxyProtocol: __, ...others } = json;
  return {
    name,
    ...(service.policy === 0 ? {} : { policy: policyText(service.policy) }),
    ...(service.proxyProtocol === 0 ? {} : { proxyProtocol: proxyProtocolText(service) }),
    ...others,
  };
}

/** `domain` and `port` stand for http and tcp; what the node sets may be there, and counts for nothing. */
function putRoute(reader: Reader, entry: unknown, path: YamlPath): Change {
  const given = reader.object(entry, path);
  reader.refuseUnknownFields(given, "Route", path, ["domain", "port"]);
  const { domain, port, ...rest } = given;
  const matches = ["domain", "port", "http", "tcp"].filter((key) => key in given);
  if (matches.length !== 1) {
    const found =
      matches.length === 0 ? "none is there" : `both ${matches.join(" and ")} are there`;
    throw reader.wrong(path, `a route has one of domain, port, http and tcp; ${found}`);
  }
  const json = {
    ...rest,
    ...(domain === undefined
      ? {}
      : { http: parseDomainPath(reader.text(domain, [...path, "domain"])) }),
    ...(port === undefined
      ? {}
      : {
          tcp: {
            port: reader.word([...path, "port"], () => parsePortWord(JSON.stringify(port), "port")),
          },
        }),
  };
  const value = reader.message("Route", Route, json, path);
  return { change: { $case: "putRoute", value: withoutOutput(value) } };
}

/** `check` stands for a healthCheck with that probe alone; policy and proxyProtocol may be written as on the command line. */
function putService(reader: Reader, entry: unknown, path: YamlPath): Change {
  const given = reader.object(entry, path);
  reader.refuseUnknownFields(given, "Service", path, ["check"]);
  const { check, ...written } = given;
  const rest: Record<string, unknown> = { ...written };
  spellOut(rest, ["policy"], policies);
  spellOut(rest, ["proxyProtocol", "proxy_protocol"], proxyProtocols);
  if (check !== undefined && ("healthCheck" in rest || "health_check" in rest)) {
    throw reader.wrong([...path, "check"], "check and healthCheck say the same; keep one");
  }
  const value = withoutPause(reader.message("Service", Service, rest, path));
  const text = check === undefined ? undefined : reader.text(check, [...path, "check"]);
  return {
    change: {
      $case: "putService",
      value: Service.fromPartial({
        ...value,
        ...(text === undefined
          ? {}
          : {
              healthCheck: {
                probe: reader.word([...path, "check"], () => parseCheck(text, "check")),
              },
            }),
      }),
    },
  };
}

/** A word of the command line becomes the number that proto3 JSON takes as well. */
function spellOut(
  entry: Record<string, unknown>,
  keys: readonly string[],
  words: Readonly<Record<string, number>>,
): void {
  for (const key of keys) {
    const word = entry[key];
    if (typeof word === "string" && Object.hasOwn(words, word)) entry[key] = words[word];
  }
}

type Entry = Readonly<Record<string, unknown>>;

/** Takes a parsed file apart, and says where in it something is wrong. */
class Reader {
  readonly #file: YamlFile;
  readonly #name: string;

  constructor(file: YamlFile, name: string) {
    this.#file = file;
    this.#name = name;
  }

  place(path: YamlPath): string {
    return `${this.#name}:${this.#file.lineOf(path)}`;
  }

  wrong(path: YamlPath, description: string): RouterError {
    const what = path.reduce<string>(
      (text, step) =>
        typeof step === "number" ? `${text}[${step}]` : text === "" ? step : `${text}.${step}`,
      "",
    );
    const subject = what === "" ? "" : ` ${what}:`;
    return new RouterError("invalid-argument", `${this.place(path)}:${subject} ${description}`);
  }

  object(value: unknown, path: YamlPath): Entry {
    if (!isEntry(value)) throw this.wrong(path, "is not a block of `key: value` lines");
    return value;
  }

  list(value: unknown, key: string): readonly unknown[] {
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value)) throw this.wrong([key], "is not a list of `- ` entries");
    return value;
  }

  text(value: unknown, path: YamlPath): string {
    if (typeof value !== "string") throw this.wrong(path, `${JSON.stringify(value)} is not a text`);
    return value;
  }

  /** Runs a parser that does not know where its words stand. */
  word<T>(path: YamlPath, parse: () => T): T {
    try {
      return parse();
    } catch (reason) {
      throw this.wrong(path, RouterError.from(reason).message);
    }
  }

  /** A message of its JSON; the error has the line of the value that cannot be read. */
  message<T>(type: string, coder: Coder<T>, json: unknown, path: YamlPath): T {
    try {
      return messageFromJson(type, coder, json);
    } catch (reason) {
      const found = faultOf(type, json);
      if (found === undefined) throw reason;
      throw this.wrong([...path, ...found.path], found.description);
    }
  }

  refuseUnknown(entry: Entry, known: readonly string[], path: YamlPath): void {
    for (const key of Object.keys(entry)) {
      if (known.includes(key)) continue;
      throw this.wrong([...path, key], `is not known${didYouMean(key, known)}`);
    }
  }

  /** Every key down to the last message, before any is read: the error has the key's own line. */
  refuseUnknownFields(
    entry: Entry,
    type: string,
    path: YamlPath,
    more: readonly string[] = [],
  ): void {
    const fields = jsonFieldsOf(type);
    const names = fields.map(({ jsonName }) => jsonName);
    const spelt = fields.map(({ protoName }) => protoName);
    for (const key of Object.keys(entry)) {
      if (spelt.includes(key)) continue;
      const known = [...names, ...more];
      const homes = known.includes(key) ? [] : homesOf(key, fields);
      if (homes.length === 0) this.refuseUnknown({ [key]: 0 }, known, path);
      else
        throw this.wrong([...path, key], `is not known here; it stands in ${homes.join(" or ")}`);
    }
    for (const { jsonName, protoName, message, kind } of fields) {
      const key = jsonName in entry ? jsonName : protoName;
      const inner = entry[key];
      const place = [...path, key];
      if (inner === undefined || inner === null) continue;
      if (kind === "map") this.#refuseLostKey(inner, place);
      if (message === undefined) continue;
      const all = kind === "list" ? this.#elements(inner, place) : [[inner, place] as const];
      for (const [one, at] of all) this.refuseUnknownFields(this.object(one, at), message, at);
    }
  }

  /** It would be lost on the way. */
  #refuseLostKey(map: unknown, path: YamlPath): void {
    if (!isEntry(map) || !Object.hasOwn(map, "__proto__")) return;
    throw this.wrong([...path, "__proto__"], "cannot be a name here");
  }

  #elements(list: unknown, path: YamlPath): readonly (readonly [unknown, YamlPath])[] {
    if (!Array.isArray(list)) throw this.wrong(path, "is not a list of `- ` entries");
    return list.map((one: unknown, index) => [one, [...path, index]]);
  }
}

/** The fields whose message has a field of that name. */
function homesOf(key: string, fields: readonly JsonField[]): readonly string[] {
  const knows = ({ message, kind }: JsonField): boolean =>
    kind === "message" &&
    message !== undefined &&
    jsonFieldsOf(message).some(({ jsonName, protoName }) => [jsonName, protoName].includes(key));
  return fields.filter(knows).map(({ jsonName }) => jsonName);
}

function isEntry(value: unknown): value is Entry {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
