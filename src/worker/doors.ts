// Who may come in: connections are counted before anything is made for them, for the node, their
// listener and their client's address, all workers together. When a listener or the node is full, the
// connection that has waited longest for nothing in particular makes room, as nginx does it; if all are
// busy, the new one is reset.
//
// Costs a connection some additions in shared memory, and a request nothing.

import { type ConnectionCounts, Row } from "../channel/connection-counts.ts";
import { roomLookMs } from "../limits.ts";
import { parseIp } from "../model/ip-address.ts";
import { Counter, Limited, type LimitName } from "../telemetry/counters.ts";
import type { WorkerContext } from "./context.ts";
import type { Place, Session, Sessions } from "./sessions.ts";
import { Timer, type TimerOwner } from "./timer-wheel.ts";

type DoorContext = Pick<WorkerContext, "connections" | "counters" | "limits" | "wheel" | "nowMs">;

/** One listener's connections of this worker. */
export class Door implements Place {
  readonly #row: number;
  readonly #context: DoorContext;
  readonly #room: Room;

  /** @param row Of `connections`; -1: the listener has none of its own. */
  constructor(context: DoorContext, room: Room, row: number) {
    this.#context = context;
    this.#room = room;
    this.#row = row;
  }

  /** Counts a connection in, making room for it if need be; false: it must go. Then `left` when it goes. */
  enter(): boolean {
    const { limits } = this.#context;
    const { connectionsPerNodeMax, connectionsPerListenerMax } = limits;
    if (!this.#claim(Row.Node, connectionsPerNodeMax, "connections-per-node")) return false;
    if (this.#claim(this.#row, connectionsPerListenerMax, "connections-per-listener")) return true;
    this.#context.connections.release(Row.Node);
    return false;
  }

  /** Counts it in for its client as well: where it is counted from now on; undefined: it must go. */
  enterFrom(address: string): Place | undefined {
    const { connections, counters, limits } = this.#context;
    if (!connections.countsAddresses) return this;
    const rows = connections.claimAddress(wordsOf(address), limits.connectionsPerAddressMax);
    if (rows === undefined) {
      counters[Limited["connections-per-address"]]! += 1;
      return undefined;
    }
    return new PlaceOfAddress(this, connections, rows);
  }

  left(): void {
    const { connections } = this.#context;
    connections.release(Row.Node);
    connections.release(this.#row);
  }

  /** Whether connections that are counted at `place` came in here. */
  leadsTo(place: Place): boolean {
    return place === this || (place instanceof PlaceOfAddress && place.door === this);
  }

  #claim(row: number, max: number, limit: LimitName): boolean {
    const { connections, counters } = this.#context;
    if (connections.claim(row, max)) return true;
    counters[Limited[limit]]! += 1;
    if (!this.#room.make(row === Row.Node ? undefined : this)) return false;
    return connections.claim(row, max);
  }
}

class PlaceOfAddress implements Place {
  readonly door: Door;
  readonly #connections: ConnectionCounts;
  readonly #rows: readonly number[];

  constructor(door: Door, connections: ConnectionCounts, rows: readonly number[]) {
    this.door = door;
    this.#connections = connections;
    this.#rows = rows;
  }

  left(): void {
    this.door.left();
    this.#connections.releaseAddress(this.#rows);
  }
}

/** A zone ("fe80::1%eth0") is this machine's own word for an interface. */
function wordsOf(address: string): readonly number[] {
  const zone = address.indexOf("%");
  return parseIp(zone < 0 ? address : address.slice(0, zone)) ?? [];
}

/** A walk finds so many of those that wait, 1 of this many: then the next ones need none. */
const foundShare = 8;
/** How long those are remembered, in ms. */
const foundMs = 1_000;

interface Found {
  readonly session: Session;
  readonly sinceMs: number;
}

/** Makes room among the sessions of a worker. */
export class Room implements TimerOwner {
  readonly #context: DoorContext;
  readonly #sessions: Sessions;
  readonly #timer = new Timer(this);
  /** By door, or undefined for all of them: who waits, those that have waited longest last. */
  readonly #found = new Map<Door | undefined, Found[]>();
  /** When a walk found nobody: the next one is some time off, or a flood would have us walk all day. */
  readonly #inVainMs = new Map<Door | undefined, number>();

  constructor(context: DoorContext, sessions: Sessions) {
    this.#context = context;
    this.#sessions = sessions;
  }

  /** Closes the connection of `door` (undefined: of any) that has waited longest; false: none waits. */
  make(door: Door | undefined): boolean {
    if (this.#closeNext(this.#found.get(door))) return true;
    const { nowMs, wheel } = this.#context;
    if (nowMs() - (this.#inVainMs.get(door) ?? Number.NEGATIVE_INFINITY) < roomLookMs) return false;
    const found = this.#look(door);
    wheel.arm(this.#timer, foundMs);
    this.#found.set(door, found);
    if (this.#closeNext(found)) return true;
    this.#inVainMs.set(door, nowMs());
    return false;
  }

  /** Nobody is kept in memory for having been found once. */
  onTimeout(): void {
    this.#found.clear();
    this.#inVainMs.clear();
  }

  #closeNext(found: Found[] | undefined): boolean {
    for (let next = found?.pop(); next !== undefined; next = found?.pop()) {
      // It may have worked since, or be gone.
      if (next.session.waitingSinceMs !== next.sinceMs) continue;
      next.session.giveWay();
      this.#context.counters[Counter.roomMade]! += 1;
      return true;
    }
    return false;
  }

  #look(door: Door | undefined): Found[] {
    const found: Found[] = [];
    for (const [session, place] of this.#sessions.entries()) {
      const sinceMs = session.waitingSinceMs;
      if (sinceMs === Number.POSITIVE_INFINITY) continue;
      if (door === undefined || door.leadsTo(place)) found.push({ session, sinceMs });
    }
    found.sort((a, b) => b.sinceMs - a.sinceMs);
    return found.slice(-Math.ceil(found.length / foundShare));
  }
}
