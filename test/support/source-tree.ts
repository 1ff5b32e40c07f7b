// The project's own files as data: paths, text, imports. For tests that check the house rules.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/** The checkout's root. */
export const root = join(import.meta.dirname, "../..");

export interface SourceFile {
  /** Relative to the root, with slashes: "src/model/route.ts". */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  readonly imports: readonly Import[];
}

export interface Import {
  /** As written: "./route.ts", "node:fs", "pino". */
  readonly specifier: string;
  /** Ours, relative to the root: "src/model/route.ts"; undefined for packages and Node's own. */
  readonly path: string | undefined;
  /** "pino", "@grpc/grpc-js"; undefined for ours and Node's own. */
  readonly packageName: string | undefined;
}

const notOurs = new Set(["node_modules", ".git", "coverage", "results", "released.binpb"]);

/** Every file under `folder` whose name ends in one of `endings`; what others made is left out. */
export function filesUnder(folder: string, ...endings: readonly string[]): SourceFile[] {
  return walk(join(root, folder))
    .filter((path) => endings.some((ending) => path.endsWith(ending)))
    .map(readSource)
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (notOurs.has(entry.name)) return [];
    const path = join(folder, entry.name);
    return entry.isDirectory() ? walk(path) : [path];
  });
}

function readSource(absolute: string): SourceFile {
  const path = relative(root, absolute);
  const text = readFileSync(absolute, "utf8");
  return {
    path,
    text,
    lines: text.split("\n"),
    imports: /\.[cm]?[jt]s$/.test(path) ? importsOf(path, text) : [],
  };
}

/** `import … from "x"`, `export … from "x"`, `import "x"`, `import("x")`, `require("x")`. */
const importPattern =
  /(?:^|\n)\s*(?:import|export)\s(?:[^"';]*?\sfrom\s+)?"([^"]+)"|\bimport\(\s*"([^"]+)"|\brequire\(\s*"([^"]+)"/g;

function importsOf(path: string, text: string): Import[] {
  return [...text.matchAll(importPattern)].map((match) => {
    const specifier = match[1] ?? match[2] ?? match[3] ?? "";
    if (specifier.startsWith(".")) {
      return { specifier, path: join(dirname(path), specifier), packageName: undefined };
    }
    const parts = specifier.split("/");
    const packageName = specifier.startsWith("@") ? parts.slice(0, 2).join("/") : parts[0];
    const isNodes = specifier.startsWith("node:");
    return { specifier, path: undefined, packageName: isNodes ? undefined : packageName };
  });
}
