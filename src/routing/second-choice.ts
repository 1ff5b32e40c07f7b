// A policy's picker, and beside it the backends that are left out: one whose time is over is tried by one request; and
// a request that has tried all others gets the rest rather than none at all.

import { ejectionTrialMs } from "../limits.ts";
import type { BackendState } from "./backend-state.ts";
import { failedLast } from "./ejection.ts";
import type { Picker, PickQuestion } from "./picker.ts";
import { isEjected } from "./usable-backends.ts";
import { drawUntried } from "./weighted-draw.ts";

class SecondChoicePicker implements Picker {
  readonly first: Picker;
  readonly #rest: readonly BackendState[];

  /** @param rest Backends that `first` does not know, and that may be used. */
  constructor(first: Picker, rest: readonly BackendState[]) {
    this.first = first;
    this.#rest = rest;
  }

  pick(question: PickQuestion): BackendState | undefined {
    return this.#onTrial(question) ?? this.first.pick(question) ?? this.#other(question);
  }

  peek(question: PickQuestion): BackendState | undefined {
    return this.#onTrial(question) ?? this.first.peek(question) ?? this.#other(question);
  }

  /** One that is to show whether it is back; a second try is not risked on it. */
  #onTrial({ triedCount, nowMs }: PickQuestion): BackendState | undefined {
    if (triedCount > 0) return undefined;
    for (const backend of this.#rest) if (isDue(backend, nowMs)) return backend;
    return undefined;
  }

  #other({ random, tried, triedCount }: PickQuestion): BackendState | undefined {
    return drawUntried(this.#rest, random, tried, triedCount, undefined);
  }
}

/** @param usable Those that `first` chooses among. @param staying All that may be used. */
export function withSecondChoice(
  first: Picker,
  usable: readonly BackendState[],
  staying: readonly BackendState[],
): Picker {
  const isUsed = new Set(usable);
  return new SecondChoicePicker(
    first,
    staying.filter((backend) => !isUsed.has(backend)),
  );
}

/** The policy's own. */
export function firstChoiceOf(picker: Picker): Picker {
  return picker instanceof SecondChoicePicker ? picker.first : picker;
}

/**
 * For a second try of a request: `chosen`, unless it is one that failed last, and another did not. A request has a few
 * tries, which are not to be spent on backends that are known to refuse while one of many answers.
 */
export function betterThan(
  chosen: BackendState | undefined,
  usable: readonly BackendState[],
  { random, tried, triedCount }: PickQuestion,
): BackendState | undefined {
  if (chosen === undefined || !failedLast(chosen)) return chosen;
  const better = usable.filter((one) => !failedLast(one));
  return drawUntried(better, random, tried, triedCount, undefined) ?? chosen;
}

function isDue(backend: BackendState, nowMs: number): boolean {
  const { check, ejectedUntilMs } = backend.standing;
  if (check === "unhealthy" || !isEjected(backend) || ejectedUntilMs > nowMs) return false;
  const failing = backend.record?.failing;
  if (failing === undefined) return false;
  return failing.trials === 0 || nowMs - failing.trialAtMs >= ejectionTrialMs;
}
