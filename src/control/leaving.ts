// What this node does for things that leave or are held: backends that drain, services that are paused, and itself.
// Puts together who counts what is open, who ends drains, and the calls.

import type * as proto from "../gen/crosspoint/v1/router.ts";
import type { Address } from "../model/address.ts";
import { RouterError } from "../model/errors.ts";
import type { ServiceName } from "../model/names.ts";
import { revisionZero } from "../model/revision.ts";
import type { Store } from "../store/store.ts";
import type { System } from "../system.ts";
import type { Log } from "../telemetry/log-port.ts";
import { BackendDrains } from "./backend-drains.ts";
import type { Cluster } from "./cluster.ts";
import { type Patience, withPatience } from "./deadline.ts";
import { type Departure, drainBackend, drainNode } from "./draining-calls.ts";
import type { LeavingDraft } from "./leaving-plan.ts";
import { OpenEverywhere } from "./open-everywhere.ts";
import type { OpenHere } from "./open-work.ts";
import type { Wait } from "./parse-request.ts";
import { pauseService, resumeService } from "./pausing.ts";
import type { TableSource } from "./table-source.ts";
import type { Writer } from "./writer.ts";

/** What a whole node gives; a service for tests may do without, and drains nothing then. */
export interface LeavingParts {
  /** Ends with the node. */
  readonly here: OpenHere;
  readonly source: TableSource;
  readonly log: Log;
  /** Ends this node; resolves just before, with how many connections were cut. */
  readonly leave: (departure: Departure) => Promise<number>;
}

export interface LeavingWorld {
  readonly store: Pick<Store, "members">;
  readonly nodeName: string;
  readonly writer: Writer;
  readonly cluster: Cluster;
  readonly system: System;
}

export class Leaving {
  readonly #world: LeavingWorld;
  readonly #parts: LeavingParts | undefined;
  readonly #open: OpenEverywhere | undefined;
  readonly #drains: BackendDrains | undefined;

  constructor(world: LeavingWorld, parts: LeavingParts | undefined) {
    this.#world = world;
    this.#parts = parts;
    if (parts === undefined) return;
    const { here, source, log } = parts;
    const { store, nodeName, system } = world;
    this.#open = new OpenEverywhere({ here, members: store.members, nodeName });
    this.#drains = new BackendDrains({
      source,
      open: this.#open,
      write: (draft, wait) => this.#write(draft, wait, here.stopped),
      stopped: here.stopped,
      system,
      log,
    });
  }

  async drainBackend(
    place: { readonly service: ServiceName; readonly address: Address },
    drain: NonNullable<proto.DeregisterBackendRequest["drain"]>,
    patience: Patience,
  ): Promise<proto.DeregisterBackendResponse> {
    const drains = this.#drains;
    if (drains === undefined) throw notHere();
    return await drainBackend({ ...this.#world, drains }, place, drain, patience);
  }

  async pause(
    request: proto.PauseServiceRequest,
    patience: Patience,
  ): Promise<proto.PauseServiceResponse> {
    const open = this.#open;
    if (open === undefined || this.#parts === undefined) throw notHere();
    const { source } = this.#parts;
    return await pauseService({ ...this.#world, open, source }, request, patience);
  }

  async resume(
    request: proto.ResumeServiceRequest,
    patience: Patience,
  ): Promise<proto.ResumeServiceResponse> {
    return await resumeService(this.#world, request, patience);
  }

  async drainNode(
    request: proto.DrainNodeRequest,
    patience: Patience,
  ): Promise<proto.DrainNodeResponse> {
    const { nodeName, store } = this.#world;
    const leave = this.#parts?.leave;
    return await drainNode({ nodeName, members: store.members, leave }, request, patience);
  }

  #write(draft: LeavingDraft, wait: Wait, signal: AbortSignal): Promise<unknown> {
    const { system, writer } = this.#world;
    const request = {
      drafts: [draft],
      wait,
      ifRevision: revisionZero,
      validateOnly: false,
      requestId: "",
    } as const;
    return withPatience(system, { signal, remainingMs: undefined }, (patience) =>
      writer.write(request, patience),
    );
  }
}

function notHere(): RouterError {
  return new RouterError(
    "failed-precondition",
    "this node does not know what is open in its workers",
  );
}
