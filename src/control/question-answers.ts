// What this node answers when another one asks how far it is: once its workers serve the revision, or why not
// before the other stops waiting.
//
// Knows: who asked for which revision, until when. Does not know: how a report travels.
//
// However many ask, a turn of the event loop makes one report at most, and it says the newest revision served.

import { openToldEveryMs, questionsWaitingMax } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import { type Revision, revisionZero } from "../model/revision.ts";
import type { MemberReport, Members, Question } from "../store/members.ts";
import type { System } from "../system.ts";
import type { Log } from "../telemetry/log-port.ts";
import { beforeDeadlineMs } from "./deadline.ts";
import type { OpenHere, OpenNews } from "./open-work.ts";
import type { NodeLag, Serving } from "./serving.ts";
import type { TableView } from "./table-view.ts";

export interface AnswersParts {
  readonly members: Members;
  readonly serving: Pick<Serving, "whenServed" | "unserved">;
  readonly view: Pick<TableView, "table">;
  /** What is open where nothing new is to go; absent: nobody is told. */
  readonly open?: Pick<OpenHere, "report" | "subscribe">;
  readonly system: System;
  readonly log: Log;
}

/** A revision that somebody asked for. */
interface Open {
  untilMs: number;
  cancel: () => void;
  readonly late: AbortController;
}

export class QuestionAnswers {
  readonly #parts: AnswersParts;
  readonly #open = new Map<Revision, Open>();
  #served: Revision = revisionZero;
  #lag: MemberReport["lag"];
  #reportDue = false;
  #stopped = false;
  #cancelLess: (() => void) | undefined;
  #unsubscribe: () => void = () => {};

  /** Answers from now on. The first report says what the workers serve by now: the node has started. */
  static start(parts: AnswersParts): QuestionAnswers {
    const answers = new QuestionAnswers(parts);
    const { members, system, view } = parts;
    const ends = [
      members.onQuestion((question) => answers.#asked(question)),
      parts.open?.subscribe((news) => answers.#openChanged(news)),
    ];
    answers.#unsubscribe = () => {
      for (const end of ends) end?.();
    };
    void answers.#answer(
      view.table.revision,
      answers.#opened(view.table.revision, system.monotonicMs()),
    );
    return answers;
  }

  private constructor(parts: AnswersParts) {
    this.#parts = parts;
  }

  stop(): void {
    this.#stopped = true;
    this.#unsubscribe();
    this.#cancelLess?.();
    for (const { cancel, late } of this.#open.values()) {
      cancel();
      late.abort();
    }
  }

  #asked({ revision, waitMs }: Question): void {
    if (this.#stopped) return;
    const untilMs = this.#parts.system.monotonicMs() + beforeDeadlineMs(waitMs);
    const open = this.#open.get(revision);
    if (open !== undefined) return this.#prolong(open, untilMs);
    if (this.#open.size >= questionsWaitingMax) return;
    void this.#answer(revision, this.#opened(revision, untilMs));
  }

  #opened(revision: Revision, untilMs: number): Open {
    const open: Open = { untilMs: -1, cancel: () => {}, late: new AbortController() };
    this.#open.set(revision, open);
    this.#prolong(open, untilMs);
    return open;
  }

  #prolong(open: Open, untilMs: number): void {
    if (untilMs <= open.untilMs) return;
    open.untilMs = untilMs;
    open.cancel();
    const { system } = this.#parts;
    const leftMs = Math.max(0, untilMs - system.monotonicMs());
    open.cancel = system.after(leftMs, () => open.late.abort());
  }

  async #answer(revision: Revision, open: Open): Promise<void> {
    let lags: readonly NodeLag[];
    try {
      lags = await this.#parts.serving.whenServed(revision, open.late.signal);
    } catch (error) {
      const reason = RouterError.from(error).message;
      lags = [{ node: "", servedRevision: revisionZero, reason }];
    }
    open.cancel();
    this.#open.delete(revision);
    this.#learn(revision, lags, open.late.signal.aborted);
    this.#reportSoon();
  }

  /** That something has ended is waited for; that it has become less is worth knowing when the time is over. */
  #openChanged(news: OpenNews): void {
    if (news === "ended") return this.#reportSoon();
    this.#cancelLess ??= this.#parts.system.after(openToldEveryMs, () => this.#reportSoon());
  }

  #reportSoon(): void {
    this.#cancelLess?.();
    this.#cancelLess = undefined;
    if (this.#reportDue || this.#stopped) return;
    this.#reportDue = true;
    this.#parts.system.atTurnEnd(() => this.#report());
  }

  #learn(revision: Revision, lags: readonly NodeLag[], late: boolean): void {
    // Whoever waits for an older one than was reported last must still find the newer one in the report. But
    // not what was served of a store that was put back since.
    if (this.#served > this.#parts.view.table.revision) this.#served = revisionZero;
    const [lag] = lags;
    const served = lag === undefined ? revision : lag.servedRevision;
    if (served > this.#served) this.#served = served;
    if (lag === undefined) return;
    if (this.#lag !== undefined && this.#lag.revision > revision) return;
    const reason = lags.map((one) => one.reason).join("; ");
    this.#lag = { revision, reason, refused: !late };
  }

  #report(): void {
    this.#reportDue = false;
    if (this.#stopped) return;
    const lag =
      this.#lag !== undefined && this.#lag.revision > this.#served ? this.#lag : undefined;
    this.#lag = undefined;
    const { members, serving, log, open: here } = this.#parts;
    // All that there are, whoever asked for what: the report says the newest revision, and is read by everybody.
    const unserved = serving.unserved();
    const but = unserved.length === 0 ? {} : { unserved };
    const open = here?.report();
    const work = open === undefined ? {} : { open };
    members
      .report({ servedRevision: this.#served, lag, ...but, ...work })
      .catch((error: unknown) => {
        log.warn("the other nodes were not told how far this one is", {
          cause: RouterError.from(error).message,
        });
      });
  }
}
