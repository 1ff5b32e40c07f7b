// All routes of a table by name, for changes.

import type { CompiledRoute } from "./compiled-route.ts";
import { HashedSlots } from "./hashed-slots.ts";
import { hashOfText } from "./routes-by-path.ts";

export class RoutesByName {
  readonly #slots = new HashedSlots<CompiledRoute>();

  get size(): number {
    return this.#slots.size;
  }

  get(name: string): CompiledRoute | undefined {
    const slot = this.#slotOf(name);
    return slot < 0 ? undefined : this.#slots.valueAt(slot);
  }

  set(route: CompiledRoute): void {
    const slot = this.#slotOf(route.name);
    if (slot < 0) this.#slots.insert(hashOfText(route.name), route);
    else this.#slots.setValue(slot, route);
  }

  /** Harmless when it is not there. */
  delete(name: string): void {
    const slot = this.#slotOf(name);
    if (slot >= 0) this.#slots.removeAt(slot);
  }

  #slotOf(name: string): number {
    const slots = this.#slots;
    let slot = slots.find(hashOfText(name));
    while (slot >= 0 && slots.valueAt(slot).name !== name) slot = slots.findNext(slot);
    return slot;
  }
}
