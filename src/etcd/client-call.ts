// One gRPC call as we want to see it: its true status, its own metadata, and a handle to end it.
//
// etcd3 1.1.2 turns a failed call into an error without code and details, closes its channels after some of them
// and repeats others. So each call goes through an interceptor that writes the true status down and hands etcd3
// one that it does nothing about.
//
// Knows: grpc-js, whose only place beside the servers this is. Does not know: etcd3, endpoints, what a call means.

import {
  type CallOptions,
  status as GrpcStatus,
  InterceptingCall,
  type InterceptorOptions,
  ListenerBuilder,
  type Metadata,
  type NextCall,
  RequesterBuilder,
  type StatusObject,
} from "@grpc/grpc-js";
import type { CallFailure } from "./etcd-error.ts";

export interface CallWish {
  /** ms since the epoch; undefined: a stream without end. */
  readonly deadlineMs: number | undefined;
  /** etcd's simple or JWT token. */
  readonly token: string | undefined;
  /** Be refused at once by a member that has no leader, instead of waiting for one. */
  readonly needsLeader: boolean;
}

export class ClientCall {
  /** To be given to etcd3 with the call. */
  readonly options: CallOptions;
  /** How it failed; undefined until then. */
  failure: CallFailure | undefined;
  readonly #wish: CallWish;
  #call: ReturnType<NextCall> | undefined;
  #cancelled = false;

  constructor(wish: CallWish) {
    this.#wish = wish;
    this.options = {
      interceptors: [(options, next) => this.#intercept(options, next)],
      ...(wish.deadlineMs === undefined ? {} : { deadline: wish.deadlineMs }),
    };
  }

  /** Harmless when it has ended. */
  cancel(): void {
    this.#cancelled = true;
    this.#call?.cancelWithStatus(GrpcStatus.CANCELLED, "ended by this client");
  }

  #intercept(options: InterceptorOptions, next: NextCall): InterceptingCall {
    const call = next(options);
    this.#call = call;
    const requester = new RequesterBuilder().withStart((metadata, _, start) => {
      this.#mark(metadata);
      start(metadata, new ListenerBuilder().withOnReceiveStatus(this.#receive).build());
      if (this.#cancelled) this.cancel();
    });
    return new InterceptingCall(call, requester.build());
  }

  #mark(metadata: Metadata): void {
    if (this.#wish.token !== undefined) metadata.set("token", this.#wish.token);
    // The name and value of etcd's rpctypes/metadatafields.go.
    if (this.#wish.needsLeader) metadata.set("hasleader", "true");
  }

  readonly #receive = (status: StatusObject, pass: (status: StatusObject) => void): void => {
    if (status.code === GrpcStatus.OK) return pass(status);
    this.failure = { code: status.code, details: status.details };
    pass({ ...status, code: GrpcStatus.FAILED_PRECONDITION, details: "see the call" });
  };
}
