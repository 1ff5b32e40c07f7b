// A small file of the state directory that says who this node is or what it keeps secret: made once by whoever is
// first, read by its owner only, replaced whole.
//
// Knows: how it is written so that nobody reads half of it. Does not know: what is in it.

import { randomBytes } from "node:crypto";
import { link, mkdir, open, readFile, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { RouterError } from "../model/errors.ts";

export interface StateFile<T> {
  /** In the state directory: "node.id". */
  readonly name: string;
  /** For messages: "the node id". */
  readonly what: string;
  readonly make: () => Uint8Array | string;
  /** What it holds; throws a RouterError that names `path` and what to do. */
  readonly read: (bytes: Uint8Array, path: string) => T;
}

/**
 * What the file holds; made when there is none. Rejects "failed-precondition" naming the file when it cannot be read
 * or made, and as `read` throws.
 */
export async function loadStateFile<T>(directory: string, file: StateFile<T>): Promise<T> {
  const path = join(directory, file.name);
  try {
    return file.read(await readFile(path), path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw unusable(path, file, error);
  }
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await place(path, file.make(), async (draft) => {
      await link(draft, path).catch((error: unknown) => {
        if (codeOf(error) !== "EEXIST") throw error;
      });
      await unlink(draft);
    });
    return file.read(await readFile(path), path);
  } catch (error) {
    throw unusable(path, file, error);
  }
}

/** Puts `bytes` in the file's place. Rejects "failed-precondition" naming the file; it is then as it was. */
export async function replaceStateFile(
  directory: string,
  file: Pick<StateFile<unknown>, "name" | "what">,
  bytes: Uint8Array,
): Promise<void> {
  const path = join(directory, file.name);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await place(path, bytes, (draft) => rename(draft, path));
  } catch (error) {
    throw unusable(path, file, error);
  }
}

/**
 * Written beside and then put into place, so that processes that start at once agree and no half file is read. The
 * draft has a name of its own, so that one that a kill left behind is in nobody's way.
 */
async function place(
  path: string,
  content: Uint8Array | string,
  put: (draft: string) => Promise<void>,
): Promise<void> {
  const draft = `${path}.${randomBytes(8).toString("hex")}`;
  const handle = await open(draft, "wx", 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
    await put(draft);
  } catch (error) {
    await unlink(draft).catch(() => undefined);
    throw error;
  } finally {
    await handle.close();
  }
}

function unusable(path: string, { what }: { readonly what: string }, error: unknown): RouterError {
  if (error instanceof RouterError) return error;
  return new RouterError(
    "failed-precondition",
    `cannot use ${what} ${path}: ${RouterError.from(error).message}; check the state directory (--state)`,
    {},
    { cause: error },
  );
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
