// JSON that a hand may have written, read without trust: each field by its name and type, and not one field more.
//
// A JsonFields knows which of its fields were asked for, so that what is left over is found: a later version's field
// or a slip of the fingers. Every refusal is "invalid-argument" naming the field and, shortened, the value. The work
// is linear in the text, whatever it holds.

import { invalidField, RouterError } from "../model/errors.ts";

/** An object of the text; names are as they are written. */
export class JsonFields {
  readonly #fields: ReadonlyMap<string, unknown>;
  readonly #path: string;
  /** Where it is all of the text. */
  readonly #text: string | undefined;
  readonly #taken = new Set<string>();

  constructor(fields: ReadonlyMap<string, unknown>, path: string, text?: string) {
    this.#fields = fields;
    this.#path = path;
    this.#text = text;
  }

  /** "http.domain". */
  path(name: string): string {
    return `${this.#path}${name}`;
  }

  has(name: string): boolean {
    return this.#fields.has(name) || this.#fields.has(snakeCased(name));
  }

  text(name: string): string | undefined {
    const value = this.#take(name);
    if (value === undefined) return undefined;
    if (typeof value !== "string") throw wrongType(this.path(name), value, "a text");
    if (!value.isWellFormed()) throw invalidField(this.path(name), "holds half a surrogate pair");
    return value;
  }

  flag(name: string): boolean {
    const value = this.#take(name) ?? false;
    if (typeof value !== "boolean") throw wrongType(this.path(name), value, "true or false");
    return value;
  }

  /** A whole number, plain or as a text (as proto3 JSON writes those of 64 bits). */
  integer(name: string): number | undefined {
    const value = this.#take(name);
    if (value === undefined) return undefined;
    const number = typeof value === "string" && integerPattern.test(value) ? Number(value) : value;
    if (typeof number !== "number" || !Number.isSafeInteger(number)) {
      throw wrongType(this.path(name), value, "a whole number");
    }
    return number;
  }

  /** A text, or the number that stands for it. */
  choice(name: string): string | number | undefined {
    const value = this.#take(name);
    if (value === undefined || typeof value === "string") return value;
    if (typeof value === "number" && Number.isSafeInteger(value)) return value;
    throw wrongType(this.path(name), value, "the name of a choice");
  }

  /** A list of what `choice` takes; none is an empty one. */
  choiceList(name: string): readonly (string | number)[] {
    return this.#list(name, "a list of names of choices", (one) => isText(one) || isWhole(one));
  }

  /** A list of whole numbers. */
  integerList(name: string): readonly number[] {
    return this.#list(name, "a list of whole numbers", isWhole);
  }

  object(name: string): JsonFields | undefined {
    const value = this.#take(name);
    return value === undefined
      ? undefined
      : fieldsOf(value, this.path(name), `${this.path(name)}.`);
  }

  /** A list of objects; none is an empty one. */
  objects(name: string): readonly JsonFields[] {
    const value = this.#take(name) ?? [];
    if (!Array.isArray(value)) throw wrongType(this.path(name), value, "a list of objects");
    if (value.length > entriesMax) {
      throw invalidField(this.path(name), `has ${value.length} entries, far too many`);
    }
    return value.map((one, index) => {
      const path = `${this.path(name)}[${index}]`;
      return fieldsOf(one, path, `${path}.`);
    });
  }

  /** An object of texts. */
  texts(name: string): Readonly<Record<string, string>> {
    const fields = this.object(name);
    if (fields === undefined) return {};
    const names = [...fields.#fields.keys()];
    // Building an object of 100,000 takes a third of a second, to be told that they are too many.
    if (names.length > entriesMax) {
      throw invalidField(this.path(name), `has ${names.length} entries, far too many`);
    }
    return Object.fromEntries(names.map((key) => [key, fields.exact(key)]));
  }

  /** A text under exactly this name. */
  exact(name: string): string {
    this.#taken.add(name);
    const value = this.#fields.get(name);
    if (typeof value !== "string") throw wrongType(this.path(shown(name)), value, "a text");
    if (!value.isWellFormed()) throw invalidField(this.path(shown(name)), "holds half a surrogate");
    return value;
  }

  /** A list of texts. */
  textList(name: string): readonly string[] {
    return this.#list(name, "a list of texts", isText);
  }

  /** Of the fields of a oneof, which lie flat, one may be there. */
  refuseTogether(values: Readonly<Record<string, unknown>>): void {
    const given = Object.keys(values).filter(
      (name) => values[name] !== undefined && values[name] !== false,
    );
    if (given.length < 2) return;
    throw invalidField(this.path(given[1] ?? ""), `and ${given[0]} exclude each other`);
  }

  /** To be called when everything known was asked for, of the whole text last: refuses what is left, or double. */
  refuseOthers(): void {
    for (const name of this.#fields.keys()) {
      if (this.#taken.has(name)) continue;
      throw invalidField(this.path(shown(name)), "is not a field that this version knows here");
    }
    // JSON.parse keeps the last of two fields with one name, and says nothing.
    const twice = this.#text === undefined ? undefined : nameWrittenTwice(this.#text);
    if (twice !== undefined) throw invalidField(shown(twice), "is written twice in one object");
  }

  #list<T>(name: string, wanted: string, is: (one: unknown) => one is T): readonly T[] {
    const value = this.#take(name) ?? [];
    if (Array.isArray(value) && value.every(is)) return value;
    throw wrongType(this.path(name), value, wanted);
  }

  /** camelCase as proto3 JSON writes it, or snake_case as the proto does; null is nothing that we write. */
  #take(name: string): unknown {
    const other = snakeCased(name);
    if (other !== name && this.#fields.has(name) && this.#fields.has(other)) {
      throw invalidField(this.path(name), `is written twice, also as ${other}`);
    }
    const found = this.#fields.has(name) ? name : other;
    this.#taken.add(found);
    const value = this.#fields.get(found);
    if (value === null) throw wrongType(this.path(name), value, "left out");
    return value;
  }
}

const isText = (one: unknown): one is string => typeof one === "string";
const isWhole = (one: unknown): one is number =>
  typeof one === "number" && Number.isSafeInteger(one);

/** The text's one object; throws "invalid-argument". */
export function parseJsonFields(text: string): JsonFields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    throw invalidField("the value", `is not JSON: ${shortened(RouterError.from(thrown).message)}`);
  }
  return fieldsOf(value, "the value", "", text);
}

function fieldsOf(value: unknown, field: string, path: string, text?: string): JsonFields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrongType(field, value, "an object {...}");
  }
  return new JsonFields(new Map(Object.entries(value)), path, text);
}

/** Of a text that is JSON. */
function nameWrittenTwice(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  for (const [token, name] of text.matchAll(tokenPattern)) {
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(undefined);
    else if (token === "}" || token === "]") open.pop();
    else if (name !== undefined) {
      const names = open.at(-1);
      const plain = name.includes("\\") ? String(JSON.parse(name)) : name.slice(1, -1);
      if (names?.has(plain) === true) return plain;
      names?.add(plain);
    }
  }
  return undefined;
}

/** A bracket, or a string; the group is there when the string is the name of a field. */
const tokenPattern = /[{}[\]]|("[^"\\]*(?:\\.[^"\\]*)*")(?=\s*:)|"[^"\\]*(?:\\.[^"\\]*)*"/g;

/** Entries of a map or list that are looked at: labels are at most 32, and whoever has a few more is told so. */
const entriesMax = 1_000;

/** No longer than what 64 bits hold. */
const integerPattern = /^-?\d{1,20}$/;

function snakeCased(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function wrongType(field: string, value: unknown, wanted: string): RouterError {
  return invalidField(field, `${kindOf(value)} stands where ${wanted} belongs`);
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (value === null) return "null";
  return typeof value === "object" ? "an object" : shown(value);
}

/** At most some 60 characters, in quotes where it is a text, without control characters. */
function shown(value: unknown): string {
  const text = String(value);
  const cut = text.length > 60 ? `${text.slice(0, 60).toWellFormed()}...` : text;
  return typeof value === "string" && !/^\w+$/.test(cut) ? JSON.stringify(cut) : cut;
}

/** Of a message that may quote the text. */
function shortened(message: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what this is about
  const plain = message.replaceAll(/[\u0000-\u001f\u007f-\u009f\ufeff\u2028\u2029]/g, "?");
  return plain.slice(0, 120).toWellFormed();
}
