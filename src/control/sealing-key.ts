// Where the key that seals sticky cookies comes from on this machine: the state directory, or a file that an operator
// names. Its value is in no message.

import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import { RouterError } from "../model/errors.ts";
import { decodeSealingKey, type SealingKey, sealingKeyBytes } from "../store/sealing-key.ts";
import { loadStateFile, replaceStateFile, type StateFile } from "../store/state-file.ts";

const file: StateFile<SealingKey> = {
  name: "sealing.key",
  what: "the sealing key",
  make: () => randomBytes(sealingKeyBytes),
  read: checked,
};

/**
 * The key in `directory`/sealing.key; made when there is none. Rejects "failed-precondition" naming
 * the file when it cannot be read or made, or is not a key.
 */
export function loadSealingKey(directory: string): Promise<SealingKey> {
  return loadStateFile(directory, file);
}

/** Keeps `key` in `directory`/sealing.key. Rejects "failed-precondition" naming the file. */
export function saveSealingKey(directory: string, key: SealingKey): Promise<void> {
  return replaceStateFile(directory, file, key);
}

/** For a node that keeps nothing on disk: cookies end with it. */
export function passingSealingKey(): SealingKey {
  return randomBytes(sealingKeyBytes);
}

/** Room for a key in hexadecimal, blanks around it and a look at what is too long. */
const fileBytesMax = 1_024;

/**
 * The key of an operator's own: 32 bytes, or a text of 44 characters of base64 or 64 of hexadecimal. Rejects
 * "failed-precondition" naming the file, the cause and what to do.
 */
export async function readSealingKey(path: string): Promise<SealingKey> {
  const bytes = await readBounded(path);
  const key = bytes.length === sealingKeyBytes ? bytes : decodeSealingKey(bytes.toString("latin1"));
  if (key !== undefined) return Uint8Array.from(key);
  const size = bytes.length > fileBytesMax ? `more than ${fileBytesMax}` : String(bytes.length);
  throw new RouterError(
    "failed-precondition",
    `--sealing-key: ${path} holds ${size} bytes that are no key: it must be ${sealingKeyBytes} bytes, or those as 44 characters of base64 or 64 of hexadecimal (openssl rand -base64 ${sealingKeyBytes})`,
  );
}

/** It may be a device without an end. */
async function readBounded(path: string): Promise<Buffer> {
  const buffer = Buffer.alloc(fileBytesMax + 1);
  try {
    await using handle = await open(path);
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await handle.read(buffer, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return buffer.subarray(0, length);
  } catch (cause) {
    throw new RouterError(
      "failed-precondition",
      `--sealing-key: cannot read ${path}: ${RouterError.from(cause).message}; name a file that this user can read`,
      {},
      { cause },
    );
  }
}

function checked(bytes: Uint8Array, path: string): SealingKey {
  if (bytes.length === sealingKeyBytes) return Uint8Array.from(bytes);
  throw new RouterError(
    "failed-precondition",
    `${path} holds ${bytes.length} bytes, not a key of ${sealingKeyBytes}: restore it, or remove it to get a new one (sticky sessions then begin anew)`,
  );
}
