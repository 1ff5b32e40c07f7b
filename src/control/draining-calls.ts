// DeregisterBackend with a drain, and DrainNode: calls that begin something which goes on without them.

import type * as proto from "../gen/crosspoint/v1/router.ts";
import { backendDrainMsMax, nodeDrainMsMax, waitMsDefault } from "../limits.ts";
import type { Address } from "../model/address.ts";
import { invalidField, RouterError } from "../model/errors.ts";
import type { ServiceName } from "../model/names.ts";
import { revisionZero } from "../model/revision.ts";
import type { Members } from "../store/members.ts";
import type { System } from "../system.ts";
import type { BackendDrains } from "./backend-drains.ts";
import type { Cluster } from "./cluster.ts";
import type { CallContext, Patience } from "./deadline.ts";
import { parseDurationMs } from "./duration.ts";
import type { NodeLag } from "./serving.ts";
import type { Writer } from "./writer.ts";

type Duration = proto.DeregisterBackendRequest["drain"];

/** How a node leaves. */
export interface Departure {
  /** How long it says so before it accepts no more, in ms. */
  readonly noticeMs: number;
  /** How long open work may take then, in ms; undefined: as the node is set. */
  readonly drainMs: number | undefined;
}

export interface DrainingParts {
  readonly writer: Pick<Writer, "write">;
  readonly cluster: Pick<Cluster, "whenServedByAll">;
  readonly drains: Pick<BackendDrains, "expect">;
  readonly system: System;
}

const unguarded = { ifRevision: revisionZero, validateOnly: false, requestId: "" } as const;

/** Of a call that is meant to take `extra` longer than others, when it names no deadline itself. */
export function withTimeFor(context: CallContext, ...extra: readonly Duration[]): CallContext {
  const { remainingMs, signal } = context;
  const given = extra.filter((one) => one !== undefined);
  if (remainingMs !== undefined || given.length === 0) return context;
  const extraMs = given.map((one) => Number(one.seconds) * 1_000 + one.nanos / 1_000_000);
  return { signal, remainingMs: extraMs.reduce((sum, ms) => sum + ms, waitMsDefault) };
}

export async function drainBackend(
  { writer, cluster, drains, system }: DrainingParts,
  { service, address }: { readonly service: ServiceName; readonly address: Address },
  drain: NonNullable<Duration>,
  patience: Patience,
): Promise<proto.DeregisterBackendResponse> {
  const drainMs = parseSpan(drain, "drain", 1, backendDrainMsMax);
  const wait = drains.expect(service, address);
  try {
    const deadlineMs = Math.ceil(system.wallMs() + drainMs);
    const draft = { kind: "drain-backend", service, address, deadlineMs } as const;
    const written = await writer.write({ drafts: [draft], ...unguarded, wait: "none" }, patience);
    const end = await wait.ended(written.revision, patience.signal);
    if (end === undefined) throw stillDraining(service, address);
    if (!end.hasDrained) throw removedBefore(service, address, end.revision);
    const [lag] = await cluster.whenServedByAll(end.revision, patience, false);
    if (lag !== undefined) throw mayStillUse(service, address, end.revision, lag);
    return { revision: BigInt(end.revision), cut: end.cut };
  } finally {
    wait.forget();
  }
}

/** @param leave Absent: whoever made this node does not let it be ended by a call. */
export async function drainNode(
  parts: {
    readonly nodeName: string;
    readonly members: Members | undefined;
    readonly leave: ((departure: Departure) => Promise<number>) | undefined;
  },
  request: proto.DrainNodeRequest,
  patience: Patience,
): Promise<proto.DrainNodeResponse> {
  const { nodeName, members, leave } = parts;
  if (request.node !== "" && request.node !== nodeName) {
    throw anotherNode(request.node, nodeName, members);
  }
  const { notice, drain } = request;
  const departure: Departure = {
    noticeMs: notice === undefined ? 0 : parseSpan(notice, "notice", 0, nodeDrainMsMax),
    drainMs: drain === undefined ? undefined : parseSpan(drain, "drain", 0, nodeDrainMsMax),
  };
  if (leave === undefined) {
    throw new RouterError(
      "failed-precondition",
      "this node cannot be ended by a call: end it by SIGTERM",
    );
  }
  return {
    cut: await patience.during(leave(departure), "this node had drained; it goes on leaving"),
  };
}

function parseSpan(
  duration: NonNullable<Duration>,
  field: string,
  minMs: number,
  maxMs: number,
): number {
  const ms = parseDurationMs(duration, field);
  if (ms < minMs || ms > maxMs) {
    throw invalidField(field, `is ${ms} ms; from ${minMs} to ${maxMs} ms are allowed`);
  }
  return ms;
}

/** The answer of a removal has no room for who lags, so not being served is an error. */
export function mayStillUse(
  service: string,
  address: string,
  revision: number,
  { node, reason }: NodeLag,
): RouterError {
  return new RouterError(
    "deadline",
    `backend "${address}" of service "${service}" was removed at revision ${revision}, but node "${node}" may still use it: ${reason}`,
    { reason: "LAGGING", metadata: { revision: String(revision), node } },
  );
}

function stillDraining(service: string, address: string): RouterError {
  return new RouterError(
    "deadline",
    `backend "${address}" of service "${service}" still drains, and goes on doing so: call again to wait for its end`,
    { reason: "STILL_DRAINING" },
  );
}

/** Whoever drains a backend will stop it on our word: then there must be nothing open. */
function removedBefore(service: string, address: string, revision: number): RouterError {
  return new RouterError(
    "failed-precondition",
    `backend "${address}" of service "${service}" was removed at revision ${revision} before it had drained, by another call: what was open there goes on`,
    { reason: "REMOVED_BEFORE_DRAINED", metadata: { revision: String(revision) } },
  );
}

function anotherNode(wanted: string, own: string, members: Members | undefined): RouterError {
  const other = members?.list().find(({ name }) => name === wanted);
  const advice =
    other === undefined
      ? "no live node that shares its store has that name (crosspoint node list)"
      : `ask that one, at ${other.rpc}`;
  return new RouterError(
    "failed-precondition",
    `node: this node is "${own}", not "${wanted}": ${advice}`,
    { reason: "ANOTHER_NODE", metadata: { node: wanted, address: other?.rpc ?? "" } },
  );
}
