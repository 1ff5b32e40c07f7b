// One try of a request at a backend, and what its outcome teaches of that backend: how long the answer took to begin,
// whether it failed, whether it brings a backend back that was left out. The one place where outcomes reach backends.
//
// What the client did (it left, it was slow) is no outcome: such a try just ends.

import type { CloseReason } from "../io/stream.ts";
import type { BackendState } from "../routing/backend-state.ts";
import type { Fault } from "../routing/ejection.ts";
import type { ServiceState } from "../routing/service-state.ts";
import { isEjected } from "../routing/usable-backends.ts";
import type { WorkerContext } from "./context.ts";
import { trialBegins, trialEnded } from "./ejections.ts";

export class TryOutcome {
  /** Whose turn it is, or was last. */
  backend: BackendState | undefined;
  readonly #context: WorkerContext;
  #service: ServiceState | undefined;
  /** ms, monotonic. */
  #sentMs = 0;
  /** The backend was left out when it was chosen. */
  #isTrial = false;
  #isEnded = false;
  /** Its answer has begun. */
  #isAnswered = false;
  /** Its answer says that it failed. */
  #isFailure = false;

  constructor(context: WorkerContext) {
    this.#context = context;
  }

  /** It is chosen; the try before it has ended. */
  begin(service: ServiceState | undefined, backend: BackendState): void {
    this.end();
    this.backend = backend;
    this.#service = service;
    this.#sentMs = this.#context.nowMs();
    this.#isAnswered = this.#isFailure = false;
    this.#isEnded = false;
    this.#isTrial = isEjected(backend);
    if (this.#isTrial) trialBegins(backend, this.#sentMs);
  }

  /** Nothing more comes of it. What is known of it can still be told. */
  end(): void {
    if (this.#isTrial && !this.#isEnded) trialEnded(this.backend!, this.#sentMs);
    this.#isEnded = true;
  }

  /** Nothing is kept of it. */
  forget(): void {
    this.backend = this.#service = undefined;
  }

  /** No connection came about: nothing was sent. */
  connectFailed(reason: CloseReason, message: string): void {
    // Nobody was asked: we have no descriptor or no port left.
    if (reason === "exhausted") return;
    if (reason === "refused") this.failed("connect refused", "refused");
    else this.failed(`connect failed: ${message}`, "unreachable");
  }

  /** The backend did not do its part. @param fault Undefined: that tells nothing of its health. */
  failed(reason: string, fault: Fault | undefined): void {
    const { backend } = this;
    const service = this.#service;
    if (backend === undefined || service === undefined) return;
    const nowMs = this.#context.nowMs();
    const sentMs = this.#sentMs;
    const isTrial = this.#isTrial;
    const stoodStill = this.#context.wheel.stoodStillSince(sentMs, nowMs);
    if (!this.#isAnswered && !stoodStill) backend.observe(nowMs - sentMs, nowMs);
    const record = backend.recorded(nowMs);
    record.failuresTotal += 1;
    record.lastFailure = reason;
    // After a stop all that was under way breaks at once: that is none of the backend's doing.
    if (fault === undefined || stoodStill) return;
    this.#context.ejections.failed(service, backend, { fault, reason, sentMs, isTrial });
  }

  /**
   * The answer begins. That it failed is known now; that it succeeded when all of it is there.
   *
   * @param status 0: a TCP connection stands.
   */
  answered(status: number): void {
    const { backend } = this;
    // Asked again when an answer is relayed for want of another try.
    if (backend === undefined || this.#isAnswered) return;
    const nowMs = this.#context.nowMs();
    const latencyMs = nowMs - this.#sentMs;
    backend.recorded(nowMs).latencies.observe(latencyMs, nowMs);
    const stoodStill = this.#context.wheel.stoodStillSince(this.#sentMs, nowMs);
    if (!stoodStill) backend.observe(latencyMs, nowMs);
    this.#isAnswered = true;
    this.#isFailure = isFailure(status);
    if (this.#isFailure) this.failed(`HTTP ${status}`, "failed");
    else if (this.#isTrial) this.#context.ejections.returned(this.#service!, backend);
  }

  /** Another try was answered first: so long this one has taken at least. */
  overtaken(): void {
    if (this.#isAnswered) return;
    const nowMs = this.#context.nowMs();
    if (this.#context.wheel.stoodStillSince(this.#sentMs, nowMs)) return;
    this.backend?.observe(nowMs - this.#sentMs, nowMs);
  }

  /** It is answered, and all of the answer is there. */
  succeeded(): void {
    const record = this.backend?.record;
    if (record === undefined || this.#isFailure) return;
    if (record.failing === undefined && record.lastFailure === "") return;
    record.failing?.succeeded(this.#context.nowMs());
    if (this.#isTrial) this.#context.ejections.returned(this.#service!, this.backend!);
    record.lastFailure = "";
  }
}

/** 501 and 505 tell of the request, not of how the backend is. */
function isFailure(status: number): boolean {
  return status >= 500 && status !== 501 && status !== 505;
}
