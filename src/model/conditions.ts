// What a request must be beside its host and path for a route to answer it: method, fields, query parameters.
//
// A canonical form: the same wish always makes the same object, so that two routes with the same conditions
// have the same match. Nothing is decoded, as with paths; there are no regular expressions, on purpose: a
// pattern of one route must not be able to slow down the others.

import { invalidField } from "./errors.ts";

export interface Conditions {
  /** As sent, sorted; none: any method. */
  readonly methods: readonly string[];
  /** All must hold. Names in lower case; sorted by name. */
  readonly headers: readonly ValueCondition[];
  /** All must hold. Sorted by name. */
  readonly query: readonly ValueCondition[];
}

/** Holds when one field line, or one parameter, of that name does; "absent": when there is none. */
export interface ValueCondition {
  readonly name: string;
  readonly op: "exact" | "prefix" | "present" | "absent";
  /** "" for present and absent. */
  readonly value: string;
}

/** As a caller asks for it. */
export interface ConditionsWish {
  readonly methods: readonly string[];
  readonly headers: readonly ValueCondition[];
  readonly query: readonly ValueCondition[];
}

const entriesMax = 16;
const nameCharactersMax = 256;
const valueCharactersMax = 1024;
/** RFC 9110 section 5.6.2. */
const tokenPattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Field values (RFC 9110 section 5.5) that are ASCII and have no blank at either end. */
const fieldValuePattern = /^(?:[!-~](?:[\t -~]*[!-~])?)?$/;
/** What may stand in a query as sent (RFC 3986 section 3.4, plus what browsers send bare), without "&". */
const queryPattern = /^[!$%'-;=?-Z[\]_a-z|~]*$/;

/**
 * Checks and puts in order; undefined when nothing is asked for. Throws "invalid-argument" naming
 * `field`.methods, .headers or .query.
 */
export function parseConditions(wish: ConditionsWish, field: string): Conditions | undefined {
  const methods = parseMethods(wish.methods, `${field}.methods`);
  const headers = parseValues(wish.headers, `${field}.headers`, checkHeader);
  const query = parseValues(wish.query, `${field}.query`, checkParameter);
  if (methods.length + headers.length + query.length === 0) return undefined;
  return { methods, headers, query };
}

function parseMethods(methods: readonly string[], field: string): readonly string[] {
  checkCount(methods, field);
  for (const [index, method] of methods.entries()) {
    const path = `${field}[${index}]`;
    if (!tokenPattern.test(method) || method.length > nameCharactersMax) {
      throw invalidField(path, `${shown(method)} is not a method, such as GET`);
    }
    if (method === "CONNECT") throw invalidField(path, "CONNECT is never forwarded");
    const upper = method.toUpperCase();
    if (upper !== method && knownMethods.has(upper)) {
      throw invalidField(path, `methods have a case: ${upper} is meant, not ${method}`);
    }
  }
  return [...new Set(methods)].toSorted();
}

const knownMethods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]);

function parseValues(
  values: readonly ValueCondition[],
  field: string,
  check: (condition: ValueCondition, path: string) => ValueCondition,
): readonly ValueCondition[] {
  checkCount(values, field);
  const checked = new Map<string, ValueCondition>();
  for (const [index, value] of values.entries()) {
    const condition = check(value, `${field}[${index}]`);
    const other = checked.get(condition.name);
    if (other !== undefined && conditionText(other) !== conditionText(condition)) {
      throw invalidField(`${field}[${index}].name`, `${shown(value.name)} is named twice`);
    }
    checked.set(condition.name, condition);
  }
  return [...checked.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function checkHeader({ name, op, value }: ValueCondition, path: string): ValueCondition {
  if (!tokenPattern.test(name) || name.length > nameCharactersMax) {
    throw invalidField(`${path}.name`, `${shown(name)} is not the name of a field`);
  }
  if (name.toLowerCase() === "host") {
    throw invalidField(`${path}.name`, "the host is what the domain of the match is for");
  }
  checkValue(op, value, fieldValuePattern, path);
  return { name: name.toLowerCase(), op, value };
}

function checkParameter({ name, op, value }: ValueCondition, path: string): ValueCondition {
  const isName = name !== "" && !name.includes("=") && queryPattern.test(name);
  if (!isName || name.length > nameCharactersMax) {
    throw invalidField(
      `${path}.name`,
      `${shown(name)} is not the name of a query parameter as it is sent (percent-encoded)`,
    );
  }
  checkValue(op, value, queryPattern, path);
  return { name, op, value };
}

function checkValue(op: ValueCondition["op"], value: string, form: RegExp, path: string): void {
  if (op === "present" || op === "absent") return;
  if (!form.test(value) || value.length > valueCharactersMax) {
    throw invalidField(`${path}.${op}`, `${shown(value)} cannot stand there in a request`);
  }
  if (op === "prefix" && value === "") {
    throw invalidField(`${path}.prefix`, "is empty: present says the same");
  }
}

function checkCount(entries: readonly unknown[], field: string): void {
  if (entries.length <= entriesMax) return;
  throw invalidField(field, `has ${entries.length} entries; at most ${entriesMax} are allowed`);
}

const shown = (text: string): string => JSON.stringify(text.slice(0, 80).toWellFormed());

/** `x-canary=1`, `x-canary=1*`, `x-canary`, `!x-canary`: for people, and different for different conditions. */
export function conditionText({ name, op, value }: ValueCondition): string {
  switch (op) {
    case "exact":
      return `${name}=${value}`;
    case "prefix":
      return `${name}=${value}*`;
    case "present":
      return name;
    default:
      return `!${name}`;
  }
}

/** `GET|HEAD header x-canary=1 query v=2`; "" for none. */
export function conditionsText(conditions: Conditions | undefined): string {
  if (conditions === undefined) return "";
  const { methods, headers, query } = conditions;
  return [
    ...(methods.length === 0 ? [] : [methods.join("|")]),
    ...headers.map((one) => `header ${conditionText(one)}`),
    ...query.map((one) => `query ${conditionText(one)}`),
  ].join(" ");
}
