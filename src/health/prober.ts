// Asks backends how they are, and tells what changes: the schedule's decisions carried out on real connections.
//
// Knows: one check per target, its probe under way, its state. Does not know services, nor who listens.
// Whatever a backend does, its probe ends with its timeout and keeps a bounded number of bytes until then.

import {
  type FromProber,
  ProbeCounter,
  type ProbeTarget,
  type TargetVerdict,
  type ToProber,
} from "../channel/prober-messages.ts";
import type { Io } from "../io/io.ts";
import { probeLateMs, probesAtOnceMax, probeTickMs } from "../limits.ts";
import { splitAddress } from "../model/address.ts";
import { RouterError } from "../model/errors.ts";
import type { System } from "../system.ts";
import { CheckState } from "./check-state.ts";
import { GrpcProbe } from "./grpc-probe.ts";
import { HttpProbe, httpQuestion } from "./http-probe.ts";
import { type Asked, failed, type ProbeResult, type TellResult } from "./probe-result.ts";
import { Schedule, type Scheduled } from "./schedule.ts";
import { TcpProbe } from "./tcp-probe.ts";

export interface ProberOptions {
  readonly io: Io;
  readonly system: System;
  /** By `ProbeCounter`. */
  readonly counters: Float64Array;
  /** Of the User-Agent field. */
  readonly userAgent: string;
  readonly inFlightMax: number;
  readonly tell: (message: FromProber) => void;
}

/** The same trouble is told so often at most, in ms. */
const troubleEveryMs = 10_000;

/** Starts a probe of one backend. */
type Ask = (tell: TellResult) => Asked;

class Checked implements Scheduled {
  readonly id: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly state: CheckState;
  readonly ask: Ask;
  asked: Asked | undefined;
  dueMs = 0;
  place = -1;
  startedMs = 0;
  phase: Scheduled["phase"] = "idle";
  extended = false;

  constructor({ id, check, state }: ProbeTarget, ask: Ask) {
    this.id = id;
    this.intervalMs = check.intervalMs;
    this.timeoutMs = check.timeoutMs;
    this.state = new CheckState(check, state);
    this.ask = ask;
  }
}

export class Prober {
  readonly #options: ProberOptions;
  readonly #schedule: Schedule<Checked>;
  readonly #checked = new Map<number, Checked>();
  /** To be told together: after a start there are thousands, and each message reaches every worker. */
  #news: TargetVerdict[] = [];
  #cancel: () => void = () => {};
  #armedMs = Number.POSITIVE_INFINITY;
  /** That it could not ask has been told, and need not be told again until then. */
  #quietUntilMs = Number.NEGATIVE_INFINITY;

  constructor(options: ProberOptions) {
    this.#options = options;
    this.#schedule = new Schedule({
      random: () => options.system.random(),
      inFlightMax: options.inFlightMax,
      atOnceMax: probesAtOnceMax,
      lateMs: probeLateMs,
    });
  }

  change({ added, removed }: Extract<ToProber, { kind: "targets" }>): void {
    for (const id of removed) this.#remove(id);
    const checked = added.map((target) => new Checked(target, this.#askOf(target)));
    for (const each of checked) this.#checked.set(each.id, each);
    this.#schedule.add(checked, this.#nowMs());
    this.#run();
  }

  /** Ends every probe under way, and begins none any more. */
  close(): void {
    for (const id of this.#checked.keys()) this.#remove(id);
    this.#cancel();
  }

  #nowMs(): number {
    return this.#options.system.monotonicMs();
  }

  #askOf({ address, check: { probe } }: ProbeTarget): Ask {
    const { io, userAgent } = this.#options;
    const at = splitAddress(address);
    switch (probe.kind) {
      case "http": {
        const question = httpQuestion(probe, address, userAgent);
        return (tell) => new HttpProbe(io, at, question, tell);
      }
      case "grpc": {
        const question = { at, address, service: probe.service, userAgent };
        return (tell) => new GrpcProbe(question, tell);
      }
      default:
        return (tell) => new TcpProbe(io, at, tell);
    }
  }

  #remove(id: number): void {
    const checked = this.#checked.get(id);
    if (checked === undefined) return;
    this.#checked.delete(id);
    this.#schedule.remove(checked);
    checked.asked?.giveUp(checked.timeoutMs);
    checked.asked = undefined;
    this.#news = this.#news.filter((verdict) => verdict.id !== id);
  }

  /** Does all that is due, and comes back when something is again. */
  #run(): void {
    const { counters, system } = this.#options;
    for (;;) {
      const turn = this.#schedule.poll(this.#nowMs());
      if (turn === undefined) break;
      if (turn.kind === "ask") this.#ask(turn.what);
      else this.#giveUp(turn.what);
    }
    counters[ProbeCounter.inFlight] = this.#schedule.inFlight;
    const { nextMs } = this.#schedule;
    if (nextMs >= this.#armedMs) return;
    this.#cancel();
    this.#armedMs = nextMs;
    // Not for each one by itself: what is due together shares the turns of the loop, which cost more than a probe.
    this.#cancel = system.after(Math.max(probeTickMs, nextMs - this.#nowMs()), () => {
      this.#armedMs = Number.POSITIVE_INFINITY;
      this.#run();
    });
  }

  #ask(checked: Checked): void {
    try {
      const asked = checked.ask((result) => {
        // Of a probe that was given up nobody wants to hear.
        if (checked.asked !== asked) return;
        this.#judge(checked, result);
        this.#run();
      });
      checked.asked = asked;
    } catch (error) {
      // What no probe can be made of must not end those of the others.
      this.#judge(checked, failed(`cannot be probed: ${RouterError.from(error).message}`));
    }
  }

  #giveUp(checked: Checked): void {
    const { asked } = checked;
    if (asked === undefined) return;
    const result = asked.giveUp(checked.timeoutMs);
    if (!result.healthy) this.#options.counters[ProbeCounter.timedOut]! += 1;
    this.#judge(checked, result);
  }

  #judge(checked: Checked, result: ProbeResult): void {
    checked.asked = undefined;
    if (result.unasked === true) return this.#couldNotAsk(checked, result.said);
    this.#options.counters[result.healthy ? ProbeCounter.succeeded : ProbeCounter.failed]! += 1;
    this.#schedule.ended(checked, this.#nowMs());
    const news = checked.state.observe(result);
    if (news === undefined) return;
    if (this.#news.length === 0) {
      this.#options.system.after(probeTickMs, () => this.#tellNews());
    }
    this.#news.push({ id: checked.id, ...news });
  }

  /** What is known of the backend stands. */
  #couldNotAsk(checked: Checked, said: string): void {
    const nowMs = this.#nowMs();
    this.#schedule.ended(checked, nowMs);
    if (nowMs < this.#quietUntilMs) return;
    this.#quietUntilMs = nowMs + troubleEveryMs;
    this.#options.tell({ kind: "trouble", reason: `${said}: backends are not asked` });
  }

  #tellNews(): void {
    const verdicts = this.#news;
    this.#news = [];
    if (verdicts.length > 0) this.#options.tell({ kind: "verdicts", verdicts });
  }
}
