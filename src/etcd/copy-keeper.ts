// When the copy on disk is written: some seconds after a change, never often, and at the end.
//
// A disk that fails costs the copy and one line in the log, never traffic.

import { etcdCopyMsMin, etcdCopyPauseFactor, etcdCopyRetryMs } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import type { System } from "../system.ts";
import type { Copy, CopyFile } from "./copy-file.ts";
import type { FollowedLog } from "./followed.ts";

export interface CopyKeeperOptions {
  readonly file: CopyFile;
  readonly system: System;
  readonly log: FollowedLog;
  /** For messages. */
  readonly name: string;
  /** What to write; undefined: nothing yet. */
  readonly take: () => Copy | undefined;
}

export class CopyKeeper {
  readonly #options: CopyKeeperOptions;
  #due = false;
  #cancel: (() => void) | undefined;
  #writing: Promise<void> | undefined;
  #failing = false;
  /** Until the next write, in ms. */
  #pauseMs = etcdCopyMsMin;
  #closed = false;

  constructor(options: CopyKeeperOptions) {
    this.#options = options;
  }

  /** Whole, or nothing; what cannot be used is told and moved out of the way. */
  async read(): Promise<Copy | undefined> {
    const { file, log, name } = this.#options;
    const found = await file.read();
    if (found.kind === "copy") return found.copy;
    if (found.kind === "bad") {
      const movedTo = await file.moveAside();
      log.warn("the copy on disk cannot be used; the start waits for etcd", {
        name,
        file: file.path,
        why: found.why,
        movedTo,
      });
    }
    return undefined;
  }

  /** What a copy holds changed. */
  changed(): void {
    this.#due = true;
    if (this.#writing !== undefined || this.#closed) return;
    this.#cancel ??= this.#options.system.after(this.#pauseMs, () => {
      this.#cancel = undefined;
      this.#writing = this.#write();
    });
  }

  /** Writes what is not written yet. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    await this.#writing;
    if (this.#due) await this.#write();
  }

  async #write(): Promise<void> {
    const { file, take, system } = this.#options;
    const copy = take();
    this.#due = false;
    try {
      const startMs = system.monotonicMs();
      if (copy !== undefined) await file.write(copy);
      const tookMs = system.monotonicMs() - startMs;
      this.#pauseMs = Math.max(etcdCopyMsMin, tookMs * etcdCopyPauseFactor);
      this.#worked();
    } catch (error) {
      this.#due = true;
      this.#pauseMs = etcdCopyRetryMs;
      this.#failed(RouterError.from(error));
    }
    this.#writing = undefined;
    if (this.#due) this.changed();
  }

  #worked(): void {
    if (!this.#failing) return;
    this.#failing = false;
    const { file, log, name } = this.#options;
    log.info("the copy on disk is written again", { name, file: file.path });
  }

  #failed(cause: RouterError): void {
    if (this.#failing) return;
    this.#failing = true;
    const { file, log, name } = this.#options;
    log.warn("the copy on disk cannot be written; a restart without etcd would find an old one", {
      name,
      file: file.path,
      cause: cause.message,
    });
  }
}
