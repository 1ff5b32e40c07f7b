// Members under the test's hand: what each node says is set, what is asked and reported is written down.

import { parseRevision, type Revision } from "../../src/model/revision.ts";
import type {
  Announcement,
  Member,
  MemberInfo,
  MemberReport,
  Members,
  Question,
  Unserved,
} from "../../src/store/members.ts";

export class FakeMembers implements Members {
  self: Announcement = { kind: "announced" };
  readonly asked: { readonly revision: number; readonly waitMs: number }[] = [];
  readonly reports: MemberReport[] = [];
  /** What `ask` rejects with. */
  askFailure: Error | undefined;
  onAsk: (revision: number) => void = () => {};
  readonly #members = new Map<string, Member>();
  readonly #listeners = new Set<() => void>();
  readonly #questions = new Set<(question: Question) => void>();
  #reportIds = 0;

  constructor(...names: readonly string[]) {
    for (const name of names) this.says(name, 0);
  }

  /** Node `name` says what it serves, or why not. */
  says(
    name: string,
    served: number,
    lag?: { at: number; reason: string; refused: boolean },
    unserved: readonly Unserved[] = [],
  ): void {
    this.set({
      ...infoOf(name),
      servedRevision: parseRevision(served),
      lag: lag && { ...lag, revision: parseRevision(lag.at) },
      unserved,
      starting: false,
      reportId: String(++this.#reportIds),
    });
  }

  starts(name: string): void {
    const reportId = String(++this.#reportIds);
    const servedRevision = parseRevision(0);
    this.set({ ...infoOf(name), servedRevision, lag: undefined, starting: true, reportId });
  }

  set(member: Member): void {
    this.#members.set(member.name, member);
    this.changed();
  }

  goes(name: string): void {
    this.#members.delete(name);
    this.changed();
  }

  become(self: Announcement): void {
    this.self = self;
    this.changed();
  }

  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  question(from: string, revision: number, waitMs: number): void {
    for (const listener of this.#questions) {
      listener({ from, revision: parseRevision(revision), waitMs });
    }
  }

  get listeners(): number {
    return this.#listeners.size + this.#questions.size;
  }

  list(): readonly Member[] {
    return [...this.#members.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  onQuestion(listener: (question: Question) => void): () => void {
    this.#questions.add(listener);
    return () => void this.#questions.delete(listener);
  }

  async announce(): Promise<void> {
    this.become({ kind: "announced" });
  }

  async report(report: MemberReport): Promise<void> {
    this.reports.push(report);
  }

  async ask(revision: Revision, waitMs: number): Promise<void> {
    this.asked.push({ revision, waitMs });
    if (this.askFailure !== undefined) throw this.askFailure;
    this.onAsk(revision);
  }

  async leave(): Promise<void> {
    this.become({ kind: "none" });
  }
}

export function infoOf(name: string): MemberInfo {
  return {
    name,
    version: "0.1.0",
    rpc: `${name}.internal:7070`,
    admin: "127.0.0.1:7071",
    http: ["0.0.0.0:8080"],
    workers: 2,
    io: "net",
    startTimeMs: 1_790_000_000_000,
  };
}
