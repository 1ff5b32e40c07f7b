// The file of settings (--config): YAML or JSON to the texts that it gives for each setting.
//
// Knows: its form. Does not know: what a setting means (config.ts).

import * as z from "zod";
import { invalidField, RouterError } from "./model/errors.ts";
import { didYouMean } from "./nearest.ts";
import { parseYaml } from "./yaml.ts";

/** What was given for a setting. */
export interface Given {
  readonly texts: readonly string[];
  /** "--http", "CROSSPOINT_HTTP" or "node.yaml:3: http". */
  readonly source: string;
}

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const setting = z.union([scalar, z.array(scalar).min(1)]);

/**
 * What the file gives for each of `keys`. Throws "invalid-argument" naming the file, the line and the key.
 *
 * @param source Where the file was named.
 */
export function readConfigFile(
  path: string,
  source: string,
  keys: readonly string[],
  readFile: (path: string) => string,
): Map<string, Given> {
  const file = parseYaml(readText(path, source, readFile), path);
  const schema = z.strictObject(Object.fromEntries(keys.map((key) => [key, setting.optional()])));
  const checked = schema.safeParse(file.value ?? {});
  const issue = checked.error?.issues[0];
  if (issue?.code === "unrecognized_keys") {
    const key = issue.keys[0] ?? "";
    throw invalidField(
      `${path}:${file.lineOf([key])}`,
      `${JSON.stringify(key)} is not a setting${didYouMean(key, keys)}`,
    );
  }
  if (issue !== undefined) {
    const key = issue.path[0];
    if (typeof key !== "string")
      throw invalidField(path, "is not a list of `setting: value` lines");
    throw invalidField(
      `${path}:${file.lineOf([key])}: ${key}`,
      "is not a text, a number or a list",
    );
  }
  return new Map(
    Object.entries(checked.data ?? {}).flatMap(([key, raw]) =>
      raw === undefined
        ? []
        : [[key, { texts: textsOf(raw), source: `${path}:${file.lineOf([key])}: ${key}` }]],
    ),
  );
}

function readText(path: string, source: string, readFile: (path: string) => string): string {
  try {
    return readFile(path);
  } catch (reason) {
    throw new RouterError("invalid-argument", `${source}: ${RouterError.from(reason).message}`);
  }
}

/** A value, or several, as texts. */
export function textsOf(raw: unknown): string[] {
  return Array.isArray(raw) ? raw.map(String) : [String(raw)];
}
