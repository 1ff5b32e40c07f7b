// A discovery under the test's hand: it finds what it is told to find, and nothing before it is told to start.

import type {
  DiscoveredBackend,
  Discovery,
  DiscoveryListener,
  UnreadableEntry,
} from "../../src/discovery/discovery.ts";
import { backendOf } from "./table-fixtures.ts";

export class FakeDiscovery implements Discovery {
  readonly name: string;
  trouble: string | undefined;
  unreadable: readonly UnreadableEntry[] = [];
  /** What `accept` answers. */
  held = false;
  found: readonly DiscoveredBackend[] | undefined;
  readonly #listeners = new Set<DiscoveryListener>();
  readonly #started = Promise.withResolvers<void>();

  constructor(name = "fake:") {
    this.name = name;
  }

  get listenerCount(): number {
    return this.#listeners.size;
  }

  /** "web 10.0.0.1:80", "web 10.0.0.1:80 7" with a weight; their sources are NAME/ADDRESS. */
  find(...backends: readonly string[]): void {
    this.found = backends.map((text) => {
      const [service = "", address = "", weight = "100"] = text.split(" ");
      const backend = backendOf(service, address, Number(weight));
      return { backend, source: `${this.name}/${address}` };
    });
    this.#started.resolve();
    for (const listener of this.#listeners) listener(this.found);
  }

  subscribe(listener: DiscoveryListener): () => void {
    this.#listeners.add(listener);
    if (this.found !== undefined) listener(this.found);
    return () => void this.#listeners.delete(listener);
  }

  async started(signal: AbortSignal): Promise<void> {
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.race([this.#started.promise, aborted]);
  }

  async accept(): Promise<boolean> {
    const { held } = this;
    this.held = false;
    return held;
  }

  async close(): Promise<void> {}
}
