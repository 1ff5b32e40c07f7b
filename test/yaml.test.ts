// Goal: YAML and JSON are read alike, and every part of a file is found by its line.

import { expect, test } from "vitest";
import { RouterError } from "../src/model/errors.ts";
import { formatYaml, parseYaml } from "../src/yaml.ts";

const yaml = `# a comment
routes:
  - name: a

  - name: b
    http:
      domain: x
`;
const json = JSON.stringify(
  { routes: [{ name: "a" }, { name: "b", http: { domain: "x" } }] },
  undefined,
  1,
);

test("YAML and JSON of the same are the same", () => {
  expect(parseYaml(yaml, "f").value).toEqual(parseYaml(json, "f").value);
});

test.for([
  [[], 2, 1],
  [["routes"], 2, 2],
  [["routes", 0], 3, 3],
  [["routes", 1, "name"], 5, 7],
  [["routes", 1, "http", "domain"], 7, 9],
  // What is not there is where its parent is.
  [["routes", 1, "http", "path"], 6, 8],
  [["routes", 9], 2, 2],
] as const)("%j is in line %i of the YAML, %i of the JSON", ([path, yamlLine, jsonLine]) => {
  expect(parseYaml(yaml, "f").lineOf(path)).toBe(yamlLine);
  expect(parseYaml(json, "f").lineOf(path)).toBe(jsonLine);
});

test.for([
  ["a: 1\na: 2", /^f:2: /],
  ["a: [1\nb: 2", /^f:\d: /],
  ["a: *nobody", /^f/],
  ['{"a": 1', /^f:1: /],
  // Nine levels of ten would be a thousand million entries.
  [
    Array.from(
      { length: 9 },
      (_, i) =>
        `l${i}: &l${i} [${Array(10)
          .fill(i === 0 ? "x" : `*l${i - 1}`)
          .join(",")}]`,
    ).join("\n"),
    /^f: .*alias/,
  ],
] as const)("%j is told by file and line", ([text, message]) => {
  let told: unknown;
  try {
    parseYaml(text, "f");
  } catch (error) {
    told = error;
  }
  expect(told).toBeInstanceOf(RouterError);
  expect((told as RouterError).message).toMatch(message);
});

test("words that YAML would read as something else are quoted", () => {
  const value = { a: "yes", b: "null", c: "1.10", d: "*", e: "x".repeat(200), f: "a: b # c" };
  expect(parseYaml(formatYaml(value), "f").value).toEqual(value);
  expect(formatYaml(value).split("\n")).toHaveLength(7);
});

test.for([" ", "a ", "\u2000", "\u00a0x", "x\u2028", "\n"])(
  "blanks at the ends of a text come back: %j",
  (text) => {
    expect(parseYaml(formatYaml({ service: text }), "x.yaml").value).toEqual({ service: text });
  },
);
