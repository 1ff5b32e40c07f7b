// Waits until every node that shares the store serves a revision, and says how far each is.
//
// Knows: this node's workers (Serving) and what the other nodes report (Members). Does not know: how it travels,
// how a question of another node is answered (question-answers.ts).
//
// Why an empty answer is true: this node's workers are waited for first. What they serve came through the store's
// log, and every node that announced itself before that revision came through the same log before it. So from then
// on the list holds every node that may serve an older table; one that comes later starts with a newer one.

import { askAgainMs, listNodesMsMax } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import { type Revision, revisionZero } from "../model/revision.ts";
import type { Announcement, Member, Members } from "../store/members.ts";
import type { Store, Write } from "../store/store.ts";
import type { System } from "../system.ts";
import type { Patience } from "./deadline.ts";
import type { NodeLag, Serving } from "./serving.ts";
import { unservedBetween } from "./unserved.ts";

export interface ClusterParts {
  /** Without members it is this node's alone. */
  readonly store: Pick<Store, "members" | "condition">;
  readonly serving: Pick<Serving, "nodeName" | "whenServed" | "unserved">;
  readonly system: System;
}

/** What is left of a call's time. */
type TimeLeft = Pick<Patience, "signal" | "remainingMs">;

/** A node and whether it answered when it was asked. */
export interface NodeAnswer {
  readonly member: Member;
  readonly answered: boolean;
}

export class Cluster {
  readonly #parts: ClusterParts;
  /** Calls that wait, or will when their write is stored. */
  readonly #waiting = new Set<TimeLeft>();

  constructor(parts: ClusterParts) {
    this.#parts = parts;
  }

  /** From now on commits ask for the sake of this call too; the answer ends that. */
  expect(patience: TimeLeft): () => void {
    this.#waiting.add(patience);
    return () => void this.#waiting.delete(patience);
  }

  /**
   * What a commit asks: nothing when nobody waits, or nobody else is there. A commit that nobody waits for asks
   * all the same while another does: it takes the place of the other's question.
   */
  ask(): Write["ask"] {
    if (this.#waiting.size === 0 || this.#others().length === 0) return undefined;
    const waitMs = Math.max(...Array.from(this.#waiting, (one) => one.remainingMs()));
    return { waitMs: Math.ceil(waitMs) };
  }

  /**
   * Resolves with [] once every worker of every live node serves `revision`; when the time is over, or waiting
   * longer cannot help, with who lags and why. `asked`: the commit that made `revision` has asked. `after`: the revision
   * before the write, which may have several.
   */
  async whenServedByAll(
    revision: Revision,
    patience: TimeLeft,
    asked: boolean,
    after: number = revision - 1,
  ): Promise<readonly NodeLag[]> {
    const { serving, store } = this.#parts;
    const end = this.expect(patience);
    try {
      const here = this.whenServedHere(revision, patience.signal, after);
      const own = here.catch((error: unknown) => [
        {
          node: serving.nodeName,
          servedRevision: revisionZero,
          reason: RouterError.from(error).message,
        },
      ]);
      if (store.members === undefined) return await own;
      const wait = new AllWait(store.members, this.#parts, { revision, after }, patience, asked);
      try {
        const lags = await own;
        return [...lags, ...(await wait.others())];
      } finally {
        wait.end();
      }
    } finally {
      end();
    }
  }

  /** See Serving.whenServed; `after` as above. */
  async whenServedHere(
    revision: Revision,
    signal: AbortSignal,
    after: number = revision - 1,
  ): Promise<readonly NodeLag[]> {
    const { serving } = this.#parts;
    const lags = await serving.whenServed(revision, signal);
    if (lags.length > 0 || after === revision - 1) return lags;
    const reason = unservedBetween(serving.unserved(), after, revision);
    const { nodeName: node } = serving;
    return reason === undefined ? [] : [{ node, servedRevision: revision, reason }];
  }

  /** Asks every other node how far it is, and waits a moment for the answers. */
  async askOthers(revision: Revision, signal: AbortSignal): Promise<readonly NodeAnswer[]> {
    const { store, system } = this.#parts;
    const { members } = store;
    if (members === undefined || this.#others().length === 0) return [];
    const before = reportsOf(members);
    const answered = ({ name, reportId }: Member): boolean => before.get(name) !== reportId;
    const done = Promise.withResolvers<void>();
    const look = (): void => {
      if (this.#others().every(answered)) done.resolve();
    };
    const finish = (): void => done.resolve();
    const cancel = system.after(listNodesMsMax, finish);
    const unsubscribe = members.subscribe(look);
    signal.addEventListener("abort", finish, { once: true });
    look();
    // Without an answer in time the reason should be here before we stop listening.
    members.ask(revision, listNodesMsMax - listNodesMsMax / 10).catch(finish);
    if (signal.aborted) finish();
    await done.promise;
    cancel();
    unsubscribe();
    signal.removeEventListener("abort", finish);
    return this.#others().map((member) => ({ member, answered: answered(member) }));
  }

  /** Why nothing can be promised about the others; "": this node is among them. */
  get trouble(): string {
    const { members } = this.#parts.store;
    return members === undefined ? "" : troubleOf(members.self);
  }

  #others(): readonly Member[] {
    const { serving, store } = this.#parts;
    return store.members === undefined ? [] : othersOf(store.members, serving.nodeName);
  }
}

/** One call that waits for the other nodes. */
class AllWait {
  readonly #members: Members;
  readonly #store: ClusterParts["store"];
  readonly #nodeName: string;
  readonly #revision: Revision;
  /** Before the write: its changes are later. */
  readonly #after: number;
  readonly #patience: TimeLeft;
  readonly #done = Promise.withResolvers<readonly NodeLag[]>();
  /** What was said before the question: a refusal among it may be an old one. */
  readonly #before: ReadonlyMap<string, string>;
  readonly #unsubscribe: () => void;
  readonly #cancelAsking: () => void;
  readonly #onAbort = (): void => {
    if (this.#ownKnown) this.#finish();
  };
  #asked: boolean;
  /** This node's own workers have had their say. */
  #ownKnown = false;

  constructor(
    members: Members,
    { serving, store, system }: ClusterParts,
    { revision, after }: { readonly revision: Revision; readonly after: number },
    patience: TimeLeft,
    asked: boolean,
  ) {
    this.#members = members;
    this.#store = store;
    this.#nodeName = serving.nodeName;
    this.#revision = revision;
    this.#after = after;
    this.#patience = patience;
    this.#asked = asked;
    this.#before = asked ? new Map() : reportsOf(members);
    this.#unsubscribe = members.subscribe(() => this.#look());
    this.#cancelAsking = system.every(askAgainMs, () => this.#askAgain());
    patience.signal.addEventListener("abort", this.#onAbort, { once: true });
    this.#look();
  }

  /** Who lags of the others, once that is decided: not before this node's own workers have had their say. */
  others(): Promise<readonly NodeLag[]> {
    this.#ownKnown = true;
    if (this.#patience.signal.aborted) this.#finish();
    else this.#look();
    return this.#done.promise;
  }

  end(): void {
    this.#unsubscribe();
    this.#cancelAsking();
    this.#patience.signal.removeEventListener("abort", this.#onAbort);
  }

  #look(): void {
    const open = this.#unserved().filter((member) => !this.#refuses(member));
    if (open.length > 0 && !this.#asked) this.#ask();
    if (!this.#ownKnown || open.length > 0) return;
    // Lost may be found again; a name that another node has may not, in the time of a call.
    if (this.#members.self.kind !== "lost") this.#finish();
  }

  /** As it is at this moment. */
  #finish(): void {
    const lags = this.#unserved().map((member) => this.#lagOf(member));
    const trouble = troubleOf(this.#members.self);
    if (trouble === "") return this.#done.resolve(lags);
    const reason = `${trouble}; so nobody knows whether every node serves revision ${this.#revision}`;
    this.#done.resolve([{ node: this.#nodeName, servedRevision: revisionZero, reason }, ...lags]);
  }

  #askAgain(): void {
    if (this.#unserved().length > 0) this.#ask();
  }

  #ask(): void {
    this.#asked = true;
    // When it fails it is asked again, until the time is over.
    this.#members.ask(this.#revision, this.#patience.remainingMs()).catch(() => {});
  }

  #unserved(): readonly Member[] {
    return othersOf(this.#members, this.#nodeName).filter(
      (member) =>
        member.starting ||
        member.servedRevision < this.#revision ||
        this.#exceptionOf(member) !== undefined,
    );
  }

  #refuses(member: Member): boolean {
    const { name, lag, reportId, starting } = member;
    if (starting || this.#before.get(name) === reportId) return false;
    if (this.#exceptionOf(member) !== undefined) return true;
    return lag?.refused === true && lag.revision >= this.#revision;
  }

  /** Why the node does not serve this very change, whatever else it serves. */
  #exceptionOf({ unserved = [] }: Member): string | undefined {
    return unservedBetween(unserved, this.#after, this.#revision);
  }

  #lagOf(member: Member): NodeLag {
    const { name, lag, servedRevision, starting } = member;
    if (starting) return { node: name, servedRevision, reason: "is starting" };
    const exception = this.#exceptionOf(member);
    if (exception !== undefined) return { node: name, servedRevision, reason: exception };
    if (lag !== undefined && lag.revision >= this.#revision) {
      return { node: name, servedRevision, reason: lag.reason };
    }
    const { condition } = this.#store;
    const away = condition.kind === "away" ? `; the store cannot be asked: ${condition.cause}` : "";
    const reason = `has not reported revision ${this.#revision} (reported ${servedRevision} last)${away}`;
    return { node: name, servedRevision, reason };
  }
}

/** All but this node; another one of the same name is another one. */
function othersOf(members: Members, nodeName: string): readonly Member[] {
  const announced = members.self.kind === "announced";
  return members.list().filter(({ name }) => !announced || name !== nodeName);
}

function reportsOf(members: Members): ReadonlyMap<string, string> {
  return new Map(members.list().map(({ name, reportId }) => [name, reportId]));
}

function troubleOf(self: Announcement): string {
  switch (self.kind) {
    case "announced":
      return "";
    case "none":
      return "this node has not announced itself to the others yet";
    case "lost":
      return `this node lost its place among the nodes: ${self.cause}`;
    default:
      return `this node has no place among the nodes: ${self.cause}`;
  }
}
