// The pages of a node (`--page`): read once, when it starts.

import { readFile } from "node:fs/promises";
import { mediaTypeOf, type PageSetting } from "./config-values.ts";
import { RouterError } from "./model/errors.ts";
import { parsePage } from "./model/parse-options.ts";
import type { Page } from "./model/route-options.ts";

/** Rejects "invalid-argument" naming the file that cannot be read, is no text, or is too large. */
export async function readPages(settings: readonly PageSetting[]): Promise<readonly Page[]> {
  return await Promise.all(settings.map(readPage));
}

async function readPage({ status, path }: PageSetting): Promise<Page> {
  const field = `--page ${status}=${path}`;
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new RouterError("invalid-argument", `${field}: ${RouterError.from(error).message}`);
  }
  try {
    const body = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return parsePage({ status, contentType: mediaTypeOf(path), body }, field);
  } catch (error) {
    if (error instanceof RouterError) throw error;
    throw new RouterError("invalid-argument", `${field}: the file is not UTF-8 text`);
  }
}
