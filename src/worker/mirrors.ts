// The copies of requests that a worker has under way, for routes that are mirrored: which requests are copied, and
// how many at the same time.

import type { CompiledRoute } from "../routing/compiled-route.ts";
import { Counter } from "../telemetry/counters.ts";
import type { PrefacedClient } from "./client-prefaces.ts";
import type { WorkerContext } from "./context.ts";
import { type CopyOwner, MirrorCopy } from "./mirror-copy.ts";

export class Mirrors implements CopyOwner {
  readonly #context: () => WorkerContext;
  readonly #open = new Set<MirrorCopy>();

  /** @param context Asked late: the context holds this. */
  constructor(context: () => WorkerContext) {
    this.#context = context;
  }

  /**
   * A copy of the request that `context.requestHead` has parsed, and whose head for the backend is in
   * `context.writer`; undefined: it gets none. Feed it the request's body, also an empty one.
   */
  copyOf({ mirror, options }: CompiledRoute, client: PrefacedClient): MirrorCopy | undefined {
    const context = this.#context();
    const { requestHead: head, writer, limits, counters, random } = context;
    const percent = options?.mirror?.percent ?? 0;
    if (mirror === undefined || head.upgrade || random() * 100 >= percent) return undefined;
    const isTooMuch = this.#open.size >= limits.mirrorsInFlightMax;
    if (isTooMuch || head.contentLength > limits.mirrorBodyBytesMax) {
      counters[Counter.mirrorDropped]! += 1;
      return undefined;
    }
    const sent = writer.bytes.subarray(0, writer.length);
    const copy = new MirrorCopy(context, this, mirror, client, sent);
    this.#open.add(copy);
    return copy;
  }

  /** Those under way are given up. */
  dropAll(): void {
    for (const copy of this.#open) copy.drop();
  }

  onCopyEnd(copy: MirrorCopy): void {
    this.#open.delete(copy);
  }
}
