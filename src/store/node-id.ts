// Who this node is to a store that nodes share, whatever it is called: a random id in the state directory.
//
// A node that starts again takes its own entry over at once, because the id is the same; another node of the same
// name finds the entry taken, because it is not.

import { randomBytes } from "node:crypto";
import { RouterError } from "../model/errors.ts";
import { loadStateFile, type StateFile } from "./state-file.ts";

const idBytes = 16;

const file: StateFile<string> = {
  name: "node.id",
  what: "the node id",
  make: () => `${randomBytes(idBytes).toString("hex")}\n`,
  read: checked,
};

/**
 * The id in `directory`/node.id; made when there is none. Rejects "failed-precondition" naming the file when it
 * cannot be read or made, or holds something else.
 */
export function loadNodeId(directory: string): Promise<string> {
  return loadStateFile(directory, file);
}

function checked(bytes: Uint8Array, path: string): string {
  const id = Buffer.from(bytes).toString("latin1").trim();
  if (/^[0-9a-f]{32}$/.test(id)) return id;
  throw new RouterError(
    "failed-precondition",
    `${path} holds no node id (${2 * idBytes} hexadecimal digits): restore it, or remove it to get a new one (the node's old entry in the store then goes with its lease)`,
  );
}
