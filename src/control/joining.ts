// Puts this node on the list of the nodes before it takes traffic: nobody is told "everywhere" without us from then
// on, and what was told before that is in our table.
//
// An etcd that refuses us, or says nothing for `joinMsMax`, is away: then there is no list to be on, and traffic does
// not wait for one. One that takes our entry is there, however slow it is: then a table from the copy on disk would be
// older than what others were told is served everywhere, and its list is waited for, up to `joinListMsMax`.

import { joinListMsMax, joinMsMax, joinPollMs } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import type { MemberInfo, Members } from "../store/members.ts";
import type { Store } from "../store/store.ts";
import { type System, sleep } from "../system.ts";
import type { Log } from "../telemetry/log-port.ts";
import type { TableView } from "./table-view.ts";

export interface JoiningParts {
  readonly store: Store;
  readonly view: Pick<TableView, "reached">;
  readonly system: System;
  readonly log: Log;
  /** Gives the start up. */
  readonly signal: AbortSignal;
}

/** Rejects as `Members.announce` while the store is there. */
export async function join(parts: JoiningParts, info: MemberInfo): Promise<void> {
  const { store, view, signal } = parts;
  const { members } = store;
  if (members === undefined) return;
  if (store.condition.kind === "current") await members.announce(info);
  else await joinSlowly(parts, members, info);
  const { revision } = await store.read();
  await view.reached(revision, signal);
}

async function joinSlowly(
  { store, system, log, signal }: JoiningParts,
  members: Members,
  info: MemberInfo,
): Promise<void> {
  const failed = (error: unknown): void => {
    const fields = { error: RouterError.from(error).message };
    log.error("this node does not tell the others of itself", fields);
  };
  void members.announce(info).catch(failed);
  const beganMs = system.monotonicMs();
  const isComing = (): boolean => {
    if (store.condition.kind !== "away") return false;
    const passedMs = system.monotonicMs() - beganMs;
    if (members.self.kind === "announced") return passedMs < joinListMsMax;
    // Nobody has refused us yet.
    return members.self.kind === "none" && passedMs < joinMsMax;
  };
  while (isComing() && !signal.aborted) await sleep(system, joinPollMs, signal);
  // Its watch brings our entry, and with it all that was stored before.
  if (store.condition.kind === "current") await members.announce(info).catch(failed);
}
