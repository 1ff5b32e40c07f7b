// Reads the fields of something one after the other, so that one answer names every wrong one.

import { type FieldViolation, RouterError } from "./errors.ts";

export class Fields {
  readonly #violations: FieldViolation[] = [];

  /** undefined when it was wrong; `throwIfWrong` then throws. */
  read<T>(parse: () => T): T | undefined {
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof RouterError) || error.code !== "invalid-argument") throw error;
      this.#violations.push(...(error.details.violations ?? []));
      return undefined;
    }
  }

  /** Every one of a list; what was wrong is left out. */
  readAll<T, U>(entries: readonly T[], parse: (entry: T, index: number) => U): readonly U[] {
    return entries.flatMap((entry, index) => this.read(() => [parse(entry, index)]) ?? []);
  }

  /** Throws "invalid-argument" with all of them. */
  throwIfWrong(): void {
    const [first, ...others] = this.#violations;
    if (first === undefined) return;
    const more = others.length === 0 ? "" : ` (and ${others.length} more)`;
    throw new RouterError("invalid-argument", `${first.field}: ${first.description}${more}`, {
      violations: this.#violations,
    });
  }
}

/** The path of a field inside another; of the outermost ("") just its name. */
export function inside(field: string, name: string): string {
  return field === "" ? name : `${field}.${name}`;
}
