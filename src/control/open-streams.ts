// The streams that clients hold open, so that a node that leaves can end them with a reason: the
// server's own shutdown waits for them for ever.

/** Ends one stream with UNAVAILABLE. */
export type EndStream = () => void;

export class OpenStreams {
  readonly #ends = new Set<EndStream>();

  /** Answers what to call when the stream has ended by itself. */
  add(end: EndStream): () => void {
    this.#ends.add(end);
    return () => void this.#ends.delete(end);
  }

  endAll(): void {
    for (const end of this.#ends) end();
    this.#ends.clear();
  }
}
