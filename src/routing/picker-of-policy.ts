// Which Picker a Policy means.

import { unreachable } from "../model/errors.ts";
import { Policy } from "../model/service.ts";
import type { BackendState } from "./backend-state.ts";
import { LeastLoadedPicker } from "./least-loaded.ts";
import { nobodyPicker, type Picker } from "./picker.ts";
import { RandomPicker } from "./random.ts";
import { RoundRobinPicker } from "./round-robin.ts";

/** What a service has that was given none. */
export const policyDefault: Policy = Policy.LeastLoaded;

/** @param backends The usable ones, with their shares. */
export function pickerOfPolicy(policy: Policy, backends: readonly BackendState[]): Picker {
  if (backends.length === 0) return nobodyPicker;
  switch (policy) {
    case Policy.LeastLoaded:
    // Peak EWMA, ring hash and leader are on their way.
    case Policy.PeakEwma:
    case Policy.RingHash:
    case Policy.Leader:
      return new LeastLoadedPicker(backends);
    case Policy.RoundRobin:
      return new RoundRobinPicker(backends);
    case Policy.Random:
      return new RandomPicker(backends);
    default:
      return unreachable(policy);
  }
}
