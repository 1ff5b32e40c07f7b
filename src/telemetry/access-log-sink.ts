// Where access-log lines go on the main thread: standard output, or a file that is reopened on SIGHUP.
//
// Traffic never waits for it. Batches queue up to a bound while the disk or the reader is slow, and
// what comes on top is dropped and counted; so is a batch that a full disk refuses. The log says
// once that lines are being dropped and once that they are not any more.

import { type FileHandle, open } from "node:fs/promises";
import { accessLogQueueBytesMax } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import { CacheTrim, type DropCached } from "./cache-trim.ts";
import type { Log } from "./log-port.ts";

/** Takes one batch at a time; resolves once it is taken. */
export interface Outlet {
  write(lines: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

export interface AccessLogSinkOptions {
  /** "-" for standard output, else a file's path. */
  readonly destination: string;
  readonly log: Log;
  /** Forgets what the kernel caches of a file; undefined: it may cache all of the log. */
  readonly dropCached?: DropCached;
  /** Default: opens `destination`. Tests hand in a slow or full one. */
  readonly openOutlet?: (destination: string) => Promise<Outlet>;
}

export class AccessLogSink {
  readonly #destination: string;
  readonly #log: Log;
  readonly #openOutlet: (destination: string) => Promise<Outlet>;
  #outlet: Outlet;
  #next: Outlet | undefined;
  readonly #queue: { readonly lines: Uint8Array; readonly done: () => void }[] = [];
  #queuedBytes = 0;
  #linesDropped = 0;
  #dropping = false;
  #writing: Promise<void> | undefined;
  #closed = false;

  /** Rejects "failed-precondition" naming the file when it cannot be opened. */
  static async open(options: AccessLogSinkOptions): Promise<AccessLogSink> {
    const opens = options.openOutlet ?? ((path: string) => openOutlet(path, options.dropCached));
    return new AccessLogSink(options, opens, await opens(options.destination));
  }

  private constructor(
    options: AccessLogSinkOptions,
    opens: (destination: string) => Promise<Outlet>,
    outlet: Outlet,
  ) {
    this.#destination = options.destination;
    this.#log = options.log;
    this.#openOutlet = opens;
    this.#outlet = outlet;
  }

  /** Since the start. */
  get linesDropped(): number {
    return this.#linesDropped;
  }

  /** Takes whole lines and keeps the array until `done`: written or dropped. Never throws, never blocks. */
  write(lines: Uint8Array, done: () => void): void {
    if (this.#closed || this.#queuedBytes + lines.length > accessLogQueueBytesMax) {
      this.#drop(lines, `${this.#queuedBytes} bytes wait to be written`);
      done();
      return;
    }
    this.#queue.push({ lines, done });
    this.#queuedBytes += lines.length;
    this.#writing ??= this.#writeQueue();
  }

  /** Opens the file again under its name, for log rotation. Whatever fails, the old one stays in use. */
  async reopen(): Promise<void> {
    if (this.#destination === "-" || this.#closed) return;
    try {
      const next = await this.#openOutlet(this.#destination);
      if (this.#closed) return await next.close();
      // First out of the way, then closed: the queue must not go on in a file that is being closed.
      const passedOver = this.#next;
      this.#next = next;
      this.#writing ??= this.#writeQueue();
      await passedOver?.close();
      await this.#writing;
    } catch (reason) {
      this.#log.error("access log was not reopened", {
        file: this.#destination,
        reason: RouterError.from(reason).message,
      });
    }
  }

  /** Writes what waits, then closes. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#writing;
    await this.#outlet.close();
  }

  async #writeQueue(): Promise<void> {
    for (;;) {
      if (this.#next !== undefined) {
        const old = this.#outlet;
        this.#outlet = this.#next;
        this.#next = undefined;
        await old.close().catch(() => undefined);
      }
      const next = this.#queue.shift();
      if (next === undefined) break;
      await this.#writeOne(next.lines);
      this.#queuedBytes -= next.lines.length;
      next.done();
    }
    this.#writing = undefined;
  }

  async #writeOne(lines: Uint8Array): Promise<void> {
    try {
      await this.#outlet.write(lines);
    } catch (reason) {
      this.#drop(lines, RouterError.from(reason).message);
      return;
    }
    // Only a queue that has drained is good news: a slow disk that takes one batch is still slow.
    if (!this.#dropping || this.#queue.length > 0) return;
    this.#dropping = false;
    this.#log.info("access log is written again", {
      destination: this.#destination,
      linesDropped: this.#linesDropped,
    });
  }

  #drop(lines: Uint8Array, reason: string): void {
    this.#linesDropped += countLines(lines);
    if (this.#dropping) return;
    this.#dropping = true;
    this.#log.error("access log lines are dropped; traffic goes on", {
      destination: this.#destination,
      reason,
    });
  }
}

function countLines(bytes: Uint8Array): number {
  let lines = 0;
  for (let at = bytes.indexOf(newline); at !== -1; at = bytes.indexOf(newline, at + 1)) lines++;
  return lines;
}

function openOutlet(destination: string, dropCached?: DropCached): Promise<Outlet> {
  return destination === "-"
    ? Promise.resolve(standardOutput())
    : openFile(destination, dropCached);
}

/** Node writes to pipes without blocking; a reader that left is an error, not a crash. */
function standardOutput(): Outlet {
  process.stdout.on("error", ignored);
  return {
    write: (lines) =>
      new Promise((resolve, reject) => {
        process.stdout.write(lines, (error) => (error ? reject(error) : resolve()));
      }),
    close: () => {
      process.stdout.off("error", ignored);
      return Promise.resolve();
    },
  };
}

/** The failed write itself tells. */
function ignored(): void {}

async function openFile(path: string, dropCached?: DropCached): Promise<Outlet> {
  let file: FileHandle;
  try {
    file = await open(path, "a");
  } catch (reason) {
    throw new RouterError(
      "failed-precondition",
      `access log ${path} cannot be opened: ${RouterError.from(reason).message}; name a file in a directory that this user may write, or "-"`,
      {},
      { cause: reason },
    );
  }
  const append = lineAppender(file);
  const trim = await trimOf(file, dropCached);
  return {
    write: async (lines) => {
      await append(lines);
      trim?.appended(lines.length);
    },
    close: async () => {
      await trim?.settled();
      await file.close();
    },
  };
}

/** Of a regular file; a pipe or a device is not cached. */
async function trimOf(file: FileHandle, dropCached?: DropCached): Promise<CacheTrim | undefined> {
  if (dropCached === undefined) return undefined;
  const status = await file.stat();
  return status.isFile() ? new CacheTrim(file.fd, status.size, dropCached) : undefined;
}

/** A full disk may take half a line: the next batch then begins on a line of its own. */
export function lineAppender(
  file: Pick<FileHandle, "write">,
): (lines: Uint8Array) => Promise<void> {
  let lineIsOpen = false;
  return async (lines) => {
    if (lineIsOpen) {
      await file.write("\n");
      lineIsOpen = false;
    }
    for (let at = 0; at < lines.length; ) {
      const { bytesWritten } = await file.write(lines, at);
      if (bytesWritten === 0) throw new RouterError("resource-exhausted", "nothing was written");
      at += bytesWritten;
      lineIsOpen = lines[at - 1] !== newline;
    }
  };
}

const newline = 0x0a;
