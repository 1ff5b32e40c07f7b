// What a request must be beside its host and path for a route to answer it: method, fields, query parameters.
//
// A canonical form: the same wish always makes the same object, so that two routes with the same conditions
// have the same match. Nothing is decoded, as with paths; there are no regular expressions, on purpose: a
// pattern of one route must not be able to slow down the others.

import { invalidField } from "./errors.ts";
import { Fields, inside } from "./fields.ts";

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
 * Checks and puts in order; undefined when nothing is asked for. Throws "invalid-argument" naming every wrong one of
 * `field`.methods, .headers and .query.
 */
export function parseConditions(wish: ConditionsWish, field: string): Conditions | undefined {
  if (wish.methods.length + wish.headers.length + wish.query.length === 0) return undefined;
  const fields = new Fields();
  const methods = fields.read(() => parseMethods(wish.methods, inside(field, "methods")));
  const headers = fields.read(() =>
    parseValues(wish.headers, inside(field, "headers"), checkHeader),
  );
  const query = fields.read(() => parseValues(wish.query, inside(field, "query"), checkParameter));
  fields.throwIfWrong();
  return { methods: methods!, headers: headers!, query: query! };
}

function parseMethods(methods: readonly string[], field: string): readonly string[] {
  checkCount(methods, field);
  const fields = new Fields();
  fields.readAll(methods, (method, index) => checkMethod(method, `${field}[${index}]`));
  fields.throwIfWrong();
  return [...new Set(methods)].toSorted();
}

function checkMethod(method: string, path: string): void {
  if (!tokenPattern.test(method) || method.length > nameCharactersMax) {
    throw invalidField(path, `${shown(method)} is not a method, such as GET`);
  }
  const upper = method.toUpperCase();
  if (upper === "CONNECT") throw invalidField(path, "CONNECT is never forwarded");
  if (upper !== method && knownMethods.has(upper)) {
    throw invalidField(path, `methods have a case: ${upper} is meant, not ${method}`);
  }
}

const knownMethods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]);

function parseValues(
  values: readonly ValueCondition[],
  field: string,
  check: (condition: ValueCondition, path: string) => ValueCondition,
): readonly ValueCondition[] {
  checkCount(values, field);
  const fields = new Fields();
  const checked = new Map<string, ValueCondition>();
  fields.readAll(values, (value, index) => {
    const condition = check(value, `${field}[${index}]`);
    const other = checked.get(condition.name) ?? condition;
    if (other.op !== condition.op || other.value !== condition.value) {
      throw invalidField(`${field}[${index}].name`, `${shown(value.name)} is named twice`);
    }
    checked.set(condition.name, condition);
  });
  fields.throwIfWrong();
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
  return { name: name.toLowerCase(), op, value: hasValue(op) ? value : "" };
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
  return { name, op, value: hasValue(op) ? value : "" };
}

function checkValue(op: ValueCondition["op"], value: string, form: RegExp, path: string): void {
  if (!hasValue(op)) return;
  if (op === "prefix" && value === "") {
    throw invalidField(`${path}.prefix`, "is empty: present says the same");
  }
  // Of a prefix the end is not yet the end: "Bearer " is one.
  if (!form.test(op === "prefix" ? `${value}x` : value) || value.length > valueCharactersMax) {
    throw invalidField(`${path}.${op}`, `${shown(value)} cannot stand there in a request`);
  }
}

const hasValue = (op: ValueCondition["op"]): boolean => op === "exact" || op === "prefix";

function checkCount(entries: readonly unknown[], field: string): void {
  if (entries.length <= entriesMax) return;
  throw invalidField(field, `has ${entries.length} entries; at most ${entriesMax} are allowed`);
}

const shown = (text: string): string => JSON.stringify(text.slice(0, 80).toWellFormed());

/** `x-canary=1`, `x-canary=1*`, `x-canary`, `!x-canary`: for people, and different for different conditions. */
export function conditionText({ name, op, value }: ValueCondition): string {
  switch (op) {
    case "exact":
      return `${plainOrQuoted(name)}=${plainOrQuoted(value)}`;
    case "prefix":
      return `${plainOrQuoted(name)}=${plainOrQuoted(value)}*`;
    case "present":
      return plainOrQuoted(name);
    default:
      return `!${plainOrQuoted(name)}`;
  }
}

/** `GET|HEAD header x-canary=1 query v=2`; "" for none. Different for different conditions. */
export function conditionsText(conditions: Conditions | undefined): string {
  if (conditions === undefined) return "";
  const { methods, headers, query } = conditions;
  return [
    ...(methods.length === 0 ? [] : [methods.map(plainOrQuoted).join("|")]),
    ...headers.map((one) => `header ${conditionText(one)}`),
    ...query.map((one) => `query ${conditionText(one)}`),
  ].join(" ");
}

/** In quotes where it could be taken for something else: a blank, a star at its end, nothing at all. */
function plainOrQuoted(text: string): string {
  return /^[\w.~:;,/+%@$-]+$/.test(text) ? text : JSON.stringify(text);
}
