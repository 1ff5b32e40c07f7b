// Goal: what docs/DISCOVERY.md shows as a key with its value is a backend.
// Method: every `etcdctl put` of the document, and every row of its table, through the readers.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { discoverdKeys } from "../../src/discovery/discoverd-keys.ts";
import type { KeyForm } from "../../src/discovery/reading.ts";
import { serviceKeys } from "../../src/discovery/service-keys.ts";
import { keyValue } from "../support/followed-by-hand.ts";
import { root } from "../support/source-tree.ts";

const document = readFileSync(join(root, "docs/DISCOVERY.md"), "utf8");

const forms: Readonly<Record<string, KeyForm>> = {
  "/services/": serviceKeys,
  "/discover/services/": discoverdKeys,
};

function addressAt(prefix: string, rest: string, value: string): string | undefined {
  const form = forms[prefix];
  if (form?.concerns(rest) !== true) return undefined;
  const { backend } = form.read(rest, keyValue(prefix + rest, value));
  return `${backend.service} ${backend.address}`;
}

test("each `etcdctl put` announces a backend", () => {
  const puts = [
    ...document.matchAll(
      /^etcdctl put (?:--lease=\S+ )?(\/(?:discover\/)?services\/)(\S+) '(.*)'$/gm,
    ),
  ];
  const found = puts.map(([, prefix = "", rest = "", value = ""]) =>
    addressAt(prefix, rest, value),
  );
  expect(found).toEqual([
    "postgres 172.31.51.34:5432",
    "postgres [fd00::7]:5432",
    "web web-1.internal:8080",
    "echo 10.0.0.7:1234",
  ]);
});

test("each row of the table of keys is one", () => {
  const rows = [...document.matchAll(/^\| `\w+:` \| `(\S+)` \| `(\S+)` \| (?:`(.*)`|(.*)) \|$/gm)];
  const example = '{"host":"172.31.51.34","port":5432}';
  const found = rows.map(([, prefix = "", key = "", value, words = ""]) => {
    const rest = key.replace("HOST:PORT", "10.0.0.7:80").replace("NAME", "web").replace("ID", "1");
    return addressAt(prefix, rest, value ?? (words.includes("null") ? "null" : example));
  });
  expect(found).toEqual([
    "web 172.31.51.34:5432",
    "web 172.31.51.34:5432",
    "web 10.0.0.7:80",
    "web 10.0.0.7:80",
  ]);
});
