// A page from a file that a flag names.

import { readFileSync } from "node:fs";
import { mediaTypeOf } from "../config-values.ts";
import { RouterError } from "../model/errors.ts";
import { usageError } from "./failure.ts";

/** What the file says, and what it is by its ending. Throws "invalid-argument" naming `flag` and the file. */
export function readPage(
  path: string,
  flag: string,
): { readonly contentType: string; readonly body: string } {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (reason) {
    throw usageError(`${flag}: cannot read the file: ${RouterError.from(reason).message}`);
  }
  try {
    const body = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    // Of a file that says nothing by its name, a page: answers would be plain text, pages are HTML.
    return { contentType: mediaTypeOf(path) || "text/html; charset=utf-8", body };
  } catch {
    throw usageError(`${flag}: ${JSON.stringify(path)} is not UTF-8 text`);
  }
}
