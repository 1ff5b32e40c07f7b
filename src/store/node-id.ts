// Who this node is to a store that nodes share, whatever it is called: a random id in the state directory.
//
// A node that starts again takes its own entry over at once, because the id is the same; another node of the same
// name finds the entry taken, because it is not.

import { randomBytes } from "node:crypto";
import { link, mkdir, open, readFile, unlink } from "node:fs/promises";
import { join } from "node:path";
import { RouterError } from "../model/errors.ts";

const idBytes = 16;

/**
 * The id in `directory`/node.id; made when there is none. Rejects "failed-precondition" naming the file when it
 * cannot be read or made, or holds something else.
 */
export async function loadNodeId(directory: string): Promise<string> {
  const path = join(directory, "node.id");
  try {
    return checked(path, await readFile(path, "latin1"));
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw unusable(path, error);
  }
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return checked(path, await create(path));
  } catch (error) {
    throw unusable(path, error);
  }
}

/** Written beside and linked into place, so that two processes that start at once agree, and no half file is read. */
async function create(path: string): Promise<string> {
  const draft = `${path}.${randomBytes(8).toString("hex")}`;
  const file = await open(draft, "wx", 0o600);
  try {
    await file.writeFile(`${randomBytes(idBytes).toString("hex")}\n`);
    await file.sync();
    await link(draft, path);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  } finally {
    await file.close();
    await unlink(draft);
  }
  return await readFile(path, "latin1");
}

function checked(path: string, text: string): string {
  const id = text.trim();
  if (/^[0-9a-f]{32}$/.test(id)) return id;
  throw new RouterError(
    "failed-precondition",
    `${path} holds no node id (${2 * idBytes} hexadecimal digits): restore it, or remove it to get a new one (the node's old entry in the store then goes with its lease)`,
  );
}

function unusable(path: string, error: unknown): RouterError {
  if (error instanceof RouterError) return error;
  return new RouterError(
    "failed-precondition",
    `cannot use the node id ${path}: ${RouterError.from(error).message}; check the state directory (--state)`,
    {},
    { cause: error },
  );
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
