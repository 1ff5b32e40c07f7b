// The key that seals sticky cookies: 32 random bytes in the state directory, readable by its owner only.
// Nodes that shall honour each other's cookies get the same file.

import { randomBytes } from "node:crypto";
import { link, mkdir, open, readFile, unlink } from "node:fs/promises";
import { join } from "node:path";
import { RouterError } from "../model/errors.ts";

const keyBytes = 32;

/**
 * The key in `directory`/sealing.key; made when there is none. Rejects "failed-precondition" naming
 * the file when it cannot be read or made, or is not a key.
 */
export async function loadSealingKey(directory: string): Promise<Uint8Array> {
  const path = join(directory, "sealing.key");
  try {
    return checked(path, await readFile(path));
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

/**
 * Written beside and linked into place: two nodes that start at once agree on whose key it is. The draft
 * has a name of its own, so that one that a kill left behind is in nobody's way.
 */
async function create(path: string): Promise<Uint8Array> {
  const draft = `${path}.${randomBytes(8).toString("hex")}`;
  const file = await open(draft, "wx", 0o600);
  try {
    await file.writeFile(randomBytes(keyBytes));
    await file.sync();
    await link(draft, path);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  } finally {
    await file.close();
    await unlink(draft);
  }
  return await readFile(path);
}

/** For a node that keeps nothing on disk: cookies end with it. */
export function passingSealingKey(): Uint8Array {
  return randomBytes(keyBytes);
}

function checked(path: string, key: Uint8Array): Uint8Array {
  if (key.length === keyBytes) return new Uint8Array(key);
  throw new RouterError(
    "failed-precondition",
    `${path} holds ${key.length} bytes, not a key of ${keyBytes}: restore it, or remove it to get a new one (sticky sessions then begin anew)`,
  );
}

function unusable(path: string, error: unknown): RouterError {
  if (error instanceof RouterError) return error;
  return new RouterError(
    "failed-precondition",
    `cannot use the sealing key ${path}: ${RouterError.from(error).message}; check the state directory (--state)`,
    {},
    { cause: error },
  );
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
