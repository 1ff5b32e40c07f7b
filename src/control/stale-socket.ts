// The file that a unix socket leaves behind when its process is killed.

import { lstat, unlink } from "node:fs/promises";
import { connect } from "node:net";
import { RouterError } from "../model/errors.ts";

/**
 * Removes the socket file at `path` when nobody listens there any more. Throws "failed-precondition"
 * when somebody does, or when the file is something else; nothing is removed then.
 */
export async function removeStaleSocket(path: string): Promise<void> {
  const file = await lstat(path).catch(() => undefined);
  if (file === undefined) return;
  if (!file.isSocket()) {
    throw new RouterError(
      "failed-precondition",
      `cannot listen on unix:${path}: a file that is no socket is there; choose another path`,
    );
  }
  if (await answers(path)) {
    throw new RouterError(
      "failed-precondition",
      `cannot listen on unix:${path}: another process listens there`,
    );
  }
  await unlink(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
