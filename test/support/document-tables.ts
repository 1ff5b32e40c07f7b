// Tables of the documents that follow from the source: settings, limits, exit statuses, access-log fields.
// They stand between markers:
//
//   <!-- table:settings -->
//   (table)
//   <!-- /table -->
//
// `node test/support/document-tables.ts` writes them anew; test/readme.test.ts fails when somebody forgot.

import { readFileSync, writeFileSync } from "node:fs";
import { ExitStatus } from "../../src/cli/failure.ts";
import { environmentName, type ServeOption, serveOptions } from "../../src/config.ts";
import { type SettableLimit, settableLimits } from "../../src/config-limits.ts";
import * as limits from "../../src/limits.ts";
import { AccessField } from "../../src/telemetry/access-fields.ts";
import { filesUnder, root } from "./source-tree.ts";

const block = /(<!-- table:([a-z-]+) -->\n)[^]*?(<!-- \/table -->)/g;

/** `markdown` with every marked table as the source says. Throws for a table that nobody knows. */
export function withTables(markdown: string): string {
  return markdown.replaceAll(block, (_, begin: string, name: string, end: string) => {
    const table = tables[name];
    if (table === undefined) throw new Error(`there is no table ${name}`);
    return `${begin}${table()}\n${end}`;
  });
}

/** Every document of ours: not the licence, not what bench/results holds. */
export function documents(): ReturnType<typeof filesUnder> {
  return filesUnder(".", ".md");
}

const tables: Readonly<Record<string, () => string>> = {
  settings: () =>
    tableOf(
      ["flag", "variable", "default", "what it is"],
      Object.values<ServeOption>(serveOptions).map(
        ({ flag, value, fallback, help, repeatable }) => [
          `\`--${flag}${value === undefined ? "" : ` ${value}`}\``,
          `\`${environmentName(flag)}\``,
          fallback === "" ? "–" : fallback,
          repeatable ? `${help}; repeatable` : help,
        ],
      ),
    ),
  limits: () =>
    tableOf(
      ["name", "value", "what it bounds, and why so"],
      limitsText().map(({ name, comment }) => [`\`${name}\``, limitText(name), comment]),
    ),
  "settable-limits": () =>
    tableOf(
      ["name", "default", "`none`", "beyond it", "what it bounds, and why so"],
      Object.entries<SettableLimit>(settableLimits).map(([name, { limit, none, beyond }]) => [
        `\`${name}\``,
        limitText(limit),
        none === undefined ? "" : "may be",
        beyond,
        limitsText().find((text) => text.name === limit)?.comment ?? "",
      ]),
    ),
  "exit-statuses": () =>
    tableOf(
      ["status", "meaning"],
      Object.entries(ExitStatus).map(([name, status]) => [
        String(status),
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an entry's key is a key
        exitMeanings[name as keyof typeof ExitStatus],
      ]),
    ),
  "access-log": () =>
    tableOf(
      ["field", "meaning"],
      [
        ["`time`", "when the line was written: UTC, RFC 3339, milliseconds"],
        ...Object.entries(AccessField).map(([name, key]) => [
          `\`${key.name}\``,
          // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an entry's key is a key
          accessMeanings[name as keyof typeof AccessField],
        ]),
      ],
    ),
};

const exitMeanings: Readonly<Record<keyof typeof ExitStatus, string>> = {
  Done: "done",
  Failed: "failed; standard error says why",
  Usage: "wrong usage: a flag, a value, a key of a file",
  NotFound: "there is no such route, service or backend; `explain`: nothing matches, or 404",
  Conflict: "somebody else has it, or the table is at another revision",
  Unreachable: "the node cannot be reached, or its store cannot",
  Lagging: "stored, but not served by every worker in time",
};

const accessMeanings: Readonly<Record<keyof typeof AccessField, string>> = {
  client:
    "the peer's IP address, or the one that its PROXY protocol preface names; never what a forwarding field says",
  method: "as sent; empty when the head could not be read",
  host: "of the Host field or of an absolute target, as sent, without the port",
  path: "the request target as sent, query included",
  status: "sent to the client; 499 when the client left first; 101 for an upgrade",
  bytesIn: "body bytes from the client; TCP and upgraded: all bytes",
  bytesOut:
    "body bytes to the client; TCP and upgraded: all bytes; answers of the router itself: with their head",
  durationMs: "from the head's arrival to the last byte of the answer; TCP: of the connection",
  queuedMs:
    "for how long it waited for room at its service, or for the end of a pause; a part of `duration_ms`; only when it did",
  route: "name of the route; empty: none matched",
  service: "name of its service",
  backend: "the address that was tried last; empty: none",
  tries: "backends tried",
  revision: "of the table that decided",
  reason:
    "why the router answered by itself, or cut: see `X-Crosspoint-Reason`; empty: all went well",
  retries:
    "why it was tried again, and whose try gave the reason: `reset 10.0.0.1:80, status-503 10.0.0.2:80`; also connect, timeout, and hedge; only there when it was",
  requestId: "the `X-Request-Id` that the backend got",
  protocol: "`http/1.1`, `http/1.0` or `tcp`",
};

/** The constants of limits.ts with the comment above each. */
function limitsText(): { readonly name: string; readonly comment: string }[] {
  const text = ["limits", "limits-balancing"]
    .map((name) => readFileSync(`${root}/src/${name}.ts`, "utf8"))
    .join("\n");
  return [...text.matchAll(/^\/\*\* (.*) \*\/\nexport const (\w+) = /gm)].map(
    ([, comment = "", name = ""]) => ({ name, comment }),
  );
}

/** "60 s", "16 KiB", "4,096": by what the name ends in. */
function limitText(name: string): string {
  const value: unknown = Reflect.get(limits, name);
  if (typeof value !== "number") throw new Error(`${name} is no number`);
  if (value === limits.unlimited) return "none";
  if (/Ms(?:Max|Min|Default)?$/.test(name)) return durationText(value);
  if (/Bytes/.test(name)) return bytesText(value);
  return value.toLocaleString("en-US");
}

function durationText(ms: number): string {
  if (ms < 1_000 || ms % 100 !== 0) return `${ms.toLocaleString("en-US")} ms`;
  return `${(ms / 1_000).toLocaleString("en-US")} s`;
}

function bytesText(bytes: number): string {
  const mebibytes = bytes / 2 ** 20;
  return mebibytes >= 1 ? `${mebibytes} MiB` : `${bytes / 2 ** 10} KiB`;
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [rowOf(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(rowOf)].join("\n");
}

function rowOf(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

if (import.meta.main) {
  for (const { path, text } of documents()) {
    const written = withTables(text);
    if (written !== text) writeFileSync(`${root}/${path}`, written);
  }
}
