// Which Picker a Policy means, over which backends.

import { unreachable } from "../model/errors.ts";
import { Policy } from "../model/service.ts";
import type { BackendState } from "./backend-state.ts";
import { LeaderPicker } from "./leader.ts";
import { LeastLoadedPicker } from "./least-loaded.ts";
import { PeakEwmaPicker } from "./peak-ewma.ts";
import { nobodyPicker, type Picker } from "./picker.ts";
import { RandomPicker } from "./random.ts";
import { RingHashPicker } from "./ring-hash.ts";
import { RoundRobinPicker } from "./round-robin.ts";
import { ZonedPicker, zonePartsOf } from "./zoned.ts";

/** What a service has that was given none. */
export const policyDefault: Policy = Policy.LeastLoaded;

/** Among whom is chosen, and what of it there was before. */
export interface Candidates {
  /** With their shares. */
  readonly usable: readonly BackendState[];
  /** All that do not leave, used or not. */
  readonly staying: readonly BackendState[];
  /** Of the node; "": none. */
  readonly zone: string;
  /** Of the weight of the zone's backends; undefined: zones make no difference. */
  readonly zoneUsablePercentMin: number | undefined;
  /** Of the same service, of any policy. */
  readonly previous: Picker;
}

/** @param backends All of them usable. */
export function pickerOfPolicy(policy: Policy, backends: readonly BackendState[]): Picker {
  return pickerAmong(policy, backends, backends, nobodyPicker);
}

export function pickerOfCandidates(policy: Policy, candidates: Candidates): Picker {
  const { usable, staying, zone, zoneUsablePercentMin, previous } = candidates;
  // There is one leader for all zones.
  const parts =
    zoneUsablePercentMin === undefined || policy === Policy.Leader
      ? undefined
      : zonePartsOf(staying, usable, zone, zoneUsablePercentMin);
  if (parts === undefined) return pickerAmong(policy, usable, staying, previous);
  const before = previous instanceof ZonedPicker ? previous : undefined;
  const isOwn = ({ standing }: BackendState): boolean => standing.zone === zone;
  const own = staying.filter(isOwn);
  const others = staying.filter((backend) => !isOwn(backend));
  return new ZonedPicker(
    pickerAmong(policy, parts.own, own, before?.own ?? nobodyPicker),
    pickerAmong(policy, parts.others, others, before?.others ?? nobodyPicker),
    parts.stays,
    policy === Policy.RingHash,
  );
}

/** Whether its picker chooses among the very list that it was given, whatever stands in it now. */
export function followsItsList(picker: Picker): boolean {
  return (
    picker instanceof LeastLoadedPicker ||
    picker instanceof RandomPicker ||
    picker instanceof RoundRobinPicker ||
    picker === nobodyPicker
  );
}

function pickerAmong(
  policy: Policy,
  usable: readonly BackendState[],
  staying: readonly BackendState[],
  previous: Picker,
): Picker {
  if (usable.length === 0) return nobodyPicker;
  switch (policy) {
    case Policy.LeastLoaded:
      return new LeastLoadedPicker(usable);
    case Policy.PeakEwma:
      return new PeakEwmaPicker(usable);
    case Policy.RingHash:
      return new RingHashPicker(usable, staying, previous);
    case Policy.Leader:
      return new LeaderPicker(usable);
    case Policy.RoundRobin:
      return new RoundRobinPicker(usable);
    case Policy.Random:
      return new RandomPicker(usable);
    default:
      return unreachable(policy);
  }
}
