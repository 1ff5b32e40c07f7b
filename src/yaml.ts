// YAML and JSON text to plain values and back, with the line of everything that is in it.
//
// Knows the package `yaml`; knows nothing of what the files mean.

import {
  Document,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from "yaml";
import { RouterError } from "./model/errors.ts";

export type YamlPath = readonly (string | number)[];

export interface YamlFile {
  /** Plain data: objects, arrays, strings, numbers, booleans, null. */
  readonly value: unknown;
  /** The line (from 1) where the part at `path` stands: of its key, where it has one. */
  lineOf(path: YamlPath): number;
}

/** Parses YAML or JSON. Throws "invalid-argument" with `source` and the line. */
export function parseYaml(text: string, source: string): YamlFile {
  // JSON.parse is about a hundred times as fast, and a table of 100,000 routes is exported as JSON too.
  if (text.trimStart().startsWith("{")) {
    try {
      const value: unknown = JSON.parse(text);
      return { value, lineOf: (path) => read(text, source).lineOf(path) };
    } catch {
      // Flow-style YAML begins with a brace as well; the reader below says what is wrong with it.
    }
  }
  return read(text, source);
}

/** As YAML with the longest lines unfolded: a line of the output is a line of the value. */
export function formatYaml(value: unknown): string {
  const document = new Document(value);
  visit(document, {
    // Blanks at the ends, those of Unicode too, would be taken off a plain scalar when it is read.
    Scalar: (_key, node) => {
      if (typeof node.value === "string" && /^\s|\s$/u.test(node.value)) node.type = "QUOTE_DOUBLE";
    },
  });
  return document.toString({ lineWidth: 0 });
}

function read(text: string, source: string): YamlFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const error = document.errors[0];
  if (error !== undefined) {
    throw new RouterError(
      "invalid-argument",
      `${source}:${lines.linePos(error.pos[0]).line}: ${error.message}`,
    );
  }
  return {
    value: plain(() => document.toJS({ maxAliasCount: 100 }), source),
    lineOf: (path) => lines.linePos(offsetOf(document.contents, path)).line,
  };
}

/** An alias that multiplies without end is an error of the file, too. */
function plain(toJs: () => unknown, source: string): unknown {
  try {
    return toJs();
  } catch (reason) {
    throw new RouterError("invalid-argument", `${source}: ${RouterError.from(reason).message}`);
  }
}

/** Walks down as far as the path leads, and answers where the last known part begins. */
function offsetOf(root: Node | null, path: YamlPath): number {
  let node: unknown = root;
  let offset = root?.range?.[0] ?? 0;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && key.value === step);
      if (pair === undefined) break;
      if (isScalar(pair.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof step === "number") {
      node = node.items[step];
      if (isMap(node) || isScalar(node) || isSeq(node)) offset = node.range?.[0] ?? offset;
    } else break;
  }
  return offset;
}
