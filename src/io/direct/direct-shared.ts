// What all streams of one worker share: the loop, what is sent at a turn's end, the buffer, the pipes.

import type { PinnedAddress } from "../ffi.ts";
import type { DescriptorLedger } from "../io.ts";
import type { Outbox } from "./outbox.ts";
import type { PipePool } from "./pipes.ts";
import type { TurnLoop } from "./turn-loop.ts";

export interface DirectShared {
  readonly loop: TurnLoop;
  readonly outbox: Outbox;
  readonly ledger: DescriptorLedger;
  /** Undefined: no stream relays. */
  readonly pipes: PipePool | undefined;
  /** Every read lands here. */
  readonly received: Uint8Array;
  readonly receivedAt: PinnedAddress;
  /** Send queue above which `write` answers false, in bytes. */
  readonly sendQueueBytesHigh: number;
  /** What the kernel takes of a dialled stream without being able to send it; an accepted one's listener says. */
  readonly unsentBytesMax: number | undefined;
}
