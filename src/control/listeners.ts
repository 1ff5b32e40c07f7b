// Every listening socket of this node: HTTP listeners from the settings, TCP ports from the routes.
//
// The main thread owns the sockets and lends them to workers, because a connection waits in the queue
// of one socket, and closing the socket resets it: a worker that dies takes its connections along, not
// its queue. So a socket is closed only after its worker confirmed that it stopped accepting.
//
// Knows: which ports routes want, which sockets are lent to which worker slot.
// Does not know: messages, acknowledgements, revisions (the fleet calls `settle`).
//
// A port that somebody else has stops nothing else: it is set aside with its reason and tried again.

import { listenerRow } from "../channel/connection-counts.ts";
import type { LimitOverrides, ListenerLoan } from "../channel/messages.ts";
import type { ListenAddress } from "../io/sockets.ts";
import { portRetryMsMax, portRetryMsMin } from "../limits.ts";
import type { Change } from "../model/change.ts";
import { RouterError } from "../model/errors.ts";
import type { System } from "../system.ts";
import type { Log } from "../telemetry/log-port.ts";
import { RoutePorts } from "./route-ports.ts";
import type { PortReservation } from "./serving.ts";
import {
  closeDrained,
  closeGroup,
  isAddressMissing,
  listenGroup,
  openGroup,
  portError,
  type SocketCalls,
  type SocketGroup,
  socketCalls,
  tryPort,
} from "./socket-group.ts";

export interface ListenerOptions {
  readonly http: readonly ListenAddress[];
  /** Where TCP routes listen. */
  readonly tcpAddresses: readonly string[];
  /** Ports to allocate from, both included. */
  readonly tcpPorts: { readonly first: number; readonly last: number };
  /** Workers. */
  readonly slots: number;
  readonly system: System;
  readonly log: Log;
  readonly sockets?: SocketCalls;
  /** Of these, that of unsent bytes. */
  readonly limits?: LimitOverrides;
}

/** A port that a route wants and that cannot be listened on. */
export interface ListenerProblem {
  readonly port: number;
  readonly reason: string;
}

interface SetAside {
  readonly reason: string;
  readonly cancel: () => void;
}

export class ListenerSet {
  /** Grows whenever a loan begins or ends. */
  version = 0;
  /** Told when loans begin or end without a change of the table (a port came free). */
  onLoans: () => void = () => {};
  readonly #options: ListenerOptions;
  readonly #calls: SocketCalls;
  readonly #http: SocketGroup[] = [];
  #tcpAddresses: readonly string[] = [];
  readonly #wanted = new RoutePorts();
  /** By port: held for routes that are about to be stored. */
  readonly #reserved = new Map<number, readonly SocketGroup[]>();
  /** By port: lent. */
  readonly #active = new Map<number, readonly SocketGroup[]>();
  readonly #aside = new Map<number, SetAside>();
  /** By slot, then by id. */
  readonly #loans: readonly Map<number, ListenerLoan>[];
  /** Loans that have ended while their worker may still accept; by slot, then by id. */
  readonly #ending: readonly Map<number, ListenerLoan>[];
  /** By address and port, in the order in which they came; a listener that comes back has its row again. */
  readonly #rows = new Map<string, number>();
  #lastId = 0;
  #closed = false;
  #toldNoIpv6 = false;

  private constructor(options: ListenerOptions) {
    this.#options = options;
    this.#calls = options.sockets ?? socketCalls;
    this.#loans = Array.from({ length: options.slots }, () => new Map());
    this.#ending = Array.from({ length: options.slots }, () => new Map());
  }

  /** Binds the HTTP listeners; they listen once `start` is called. Rejects "failed-precondition" naming the address. */
  static async open(options: ListenerOptions): Promise<ListenerSet> {
    const set = new ListenerSet(options);
    const reason = set.#calls.socketsUnavailableReason();
    if (reason !== undefined) {
      options.log.warn("workers listen themselves: one that ends resets whoever waits for it", {
        reason,
      });
    }
    try {
      for (const at of options.http) await set.#openHttp(at);
      if (options.http.length > 0 && set.#http.length === 0) {
        throw new RouterError(
          "failed-precondition",
          "none of the HTTP listeners can be opened: this machine has no IPv6",
        );
      }
      set.#tcpAddresses = await set.#usableAddresses();
      return set;
    } catch (error) {
      set.close();
      throw error;
    }
  }

  /** The HTTP listeners as bound. */
  get http(): readonly ListenAddress[] {
    return this.#http.map(({ address, port }) => ({ address, port }));
  }

  /** Lets clients connect to the HTTP listeners: they wait until a worker has its first table. */
  start(): void {
    for (const group of this.#http) {
      this.#listen(group, "--http");
      this.#lend("http", group);
    }
  }

  /** Opens and ends what the changes of one revision ask for. Never throws for a port: see `problems`. */
  apply(changes: Iterable<Change>): void {
    if (this.#closed) return;
    for (const port of this.#wanted.apply(changes)) this.#follow(port);
  }

  /** All that a slot's worker shall accept from. */
  loansOf(slot: number): ReadonlyMap<number, ListenerLoan> {
    return this.#loans[slot]!;
  }

  /** The worker of `slot` accepts from `held` and nothing else: what has ended is closed. With no worker left: none. */
  settle(slot: number, held: ReadonlySet<number>): void {
    const ending = this.#ending[slot]!;
    for (const [id, loan] of ending) {
      if (held.has(id)) continue;
      ending.delete(id);
      if (loan.fd !== undefined) closeDrained(this.#calls, loan.fd);
    }
  }

  /** Ends every loan and begins no more: the node leaves. `settle` closes the sockets as their workers stop. */
  endAll(): void {
    this.#closed = true;
    this.version++;
    for (const { cancel } of this.#aside.values()) cancel();
    for (const [slot, loans] of this.#loans.entries()) {
      for (const [id, loan] of loans) this.#ending[slot]!.set(id, loan);
      loans.clear();
    }
  }

  /** The ports that routes want and that somebody else has. */
  problems(): ListenerProblem[] {
    return [...this.#aside].map(([port, { reason }]) => ({ port, reason }));
  }

  /** See Serving.reservePort. */
  async reservePort(port: number, taken: (port: number) => boolean): Promise<PortReservation> {
    if (port !== 0) return await this.#reserve(port);
    const { first, last } = this.#options.tcpPorts;
    for (let candidate = first; candidate <= last; candidate++) {
      if (taken(candidate) || this.#wanted.has(candidate) || this.#reserved.has(candidate))
        continue;
      try {
        return await this.#reserve(candidate);
      } catch (error) {
        // Somebody else has this one; the next may be free.
        if (!(error instanceof RouterError)) throw error;
      }
    }
    throw new RouterError(
      "resource-exhausted",
      `no port of the range ${first}-${last} is free: remove a TCP route or widen --tcp-ports`,
      { reason: "PORT_RANGE_EXHAUSTED" },
    );
  }

  /** Closes every socket; whoever waits in a queue sees an orderly end. Harmless twice. */
  close(): void {
    this.#closed = true;
    for (const { cancel } of this.#aside.values()) cancel();
    for (const groups of this.#reserved.values()) {
      for (const group of groups) closeGroup(this.#calls, group);
    }
    const lent = [...this.#loans, ...this.#ending].flatMap((loans) => [...loans.values()]);
    const lentFds = new Set(lent.flatMap(({ fd }) => (fd === undefined ? [] : [fd])));
    for (const fd of lentFds) closeDrained(this.#calls, fd);
    for (const fd of this.#http.flatMap(({ fds }) => fds)) {
      if (fd !== undefined && !lentFds.has(fd)) this.#calls.closeFd(fd);
    }
    for (const map of [this.#reserved, this.#active, this.#aside, ...this.#loans, ...this.#ending])
      map.clear();
    this.#http.length = 0;
  }

  async #openHttp(at: ListenAddress): Promise<void> {
    try {
      const port = this.#calls.socketsAvailable() ? at.port : await tryPort(at);
      this.#http.push(
        openGroup(this.#calls, { ...at, port }, { slots: this.#options.slots, ours: false }),
      );
    } catch (error) {
      if (at.address !== "::" || !isAddressMissing(error)) throw portError(at, error, "--http");
      this.#tellNoIpv6();
    }
  }

  /** Once, whatever was to listen there. */
  #tellNoIpv6(): void {
    if (this.#toldNoIpv6) return;
    this.#toldNoIpv6 = true;
    this.#options.log.warn("no IPv6 on this machine: nothing listens on [::]");
  }

  /** Each address is tried once, so that later only the port can be the trouble. */
  async #usableAddresses(): Promise<readonly string[]> {
    const usable: string[] = [];
    for (const address of this.#options.tcpAddresses) {
      const at = { address, port: 0 };
      try {
        if (this.#calls.socketsAvailable()) {
          closeGroup(this.#calls, openGroup(this.#calls, at, { slots: 1, ours: false }));
        } else {
          await tryPort(at);
        }
        usable.push(address);
      } catch (error) {
        if (address !== "::" || !isAddressMissing(error))
          throw portError(at, error, "--tcp-address");
        this.#tellNoIpv6();
      }
    }
    return usable;
  }

  async #reserve(port: number): Promise<PortReservation> {
    // A route has it already, and another route of the same write takes it over.
    if (this.#active.has(port)) return { port, release() {} };
    if (this.#reserved.has(port)) {
      throw new RouterError("failed-precondition", `port ${port} is being taken by another call`, {
        reason: "PORT_IN_USE",
        resource: { type: "port", name: String(port) },
      });
    }
    this.#reserved.set(port, []);
    try {
      if (!this.#calls.socketsAvailable()) await this.#tryPort(port);
      const groups = this.#openPort(port);
      this.#reserved.set(port, groups);
      return { port, release: () => this.#release(port, groups) };
    } catch (error) {
      this.#reserved.delete(port);
      throw error;
    }
  }

  /** Does nothing when the route came, or when the port is somebody else's reservation by now. */
  #release(port: number, groups: readonly SocketGroup[]): void {
    if (this.#reserved.get(port) !== groups) return;
    this.#reserved.delete(port);
    for (const group of groups) closeGroup(this.#calls, group);
  }

  async #tryPort(port: number): Promise<void> {
    for (const address of this.#tcpAddresses) {
      await tryPort({ address, port }).catch((error: unknown) => {
        throw portError({ address, port }, error);
      });
    }
  }

  /** Binds `port` on every TCP address, or on none. Throws "failed-precondition". */
  #openPort(port: number): readonly SocketGroup[] {
    if (this.#http.some((group) => group.port === port)) {
      throw new RouterError(
        "failed-precondition",
        `port ${port} is this node's own HTTP listener`,
        {
          reason: "PORT_IN_USE",
          resource: { type: "port", name: String(port) },
        },
      );
    }
    const groups: SocketGroup[] = [];
    for (const address of this.#tcpAddresses) {
      try {
        const options = { slots: this.#options.slots, ours: this.#isEnding(port) };
        groups.push(openGroup(this.#calls, { address, port }, options));
      } catch (error) {
        for (const group of groups) closeGroup(this.#calls, group);
        throw portError({ address, port }, error);
      }
    }
    return groups;
  }

  #isEnding(port: number): boolean {
    return this.#ending.some((loans) => loans.values().some((loan) => loan.port === port));
  }

  #follow(port: number): void {
    if (this.#wanted.has(port)) {
      if (!this.#active.has(port) && !this.#aside.has(port)) this.#begin(port, portRetryMsMin);
      return;
    }
    this.#aside.get(port)?.cancel();
    this.#aside.delete(port);
    for (const group of this.#active.get(port) ?? []) this.#end(group);
    this.#active.delete(port);
  }

  /** Answers whether the port is lent now. */
  #begin(port: number, retryMs: number): boolean {
    let groups: readonly SocketGroup[] = [];
    try {
      groups = this.#reserved.get(port) ?? this.#openPort(port);
      for (const group of groups) this.#listen(group);
    } catch (error) {
      for (const group of groups) closeGroup(this.#calls, group);
      this.#reserved.delete(port);
      this.#setAside(port, RouterError.from(error).message, retryMs);
      return false;
    }
    this.#reserved.delete(port);
    this.#active.set(port, groups);
    for (const group of groups) this.#lend("tcp", group);
    return true;
  }

  #listen(group: SocketGroup, flag = ""): void {
    try {
      listenGroup(this.#calls, group, this.#options.limits?.unsentBytesMax);
    } catch (error) {
      throw portError(group, error, flag);
    }
  }

  #setAside(port: number, reason: string, delayMs: number): void {
    const known = this.#aside.get(port);
    if (known?.reason !== reason) {
      this.#options.log.warn("a TCP route's port is not served", {
        port,
        reason,
        routes: this.#wanted.routesOf(port),
      });
    }
    const cancel = this.#options.system.after(delayMs, () => this.#retry(port, delayMs));
    this.#aside.set(port, { reason, cancel });
  }

  #retry(port: number, delayMs: number): void {
    if (this.#closed || !this.#aside.has(port)) return;
    if (!this.#begin(port, Math.min(delayMs * 2, portRetryMsMax))) return;
    this.#aside.delete(port);
    this.#options.log.info("a TCP route's port is served again", { port });
    this.onLoans();
  }

  #lend(protocol: ListenerLoan["protocol"], group: SocketGroup): void {
    this.version++;
    const row = this.#rowOf(group);
    for (const [slot, fd] of group.fds.entries()) {
      const { address, port } = group;
      const loan = { id: ++this.#lastId, protocol, address, port, fd, row };
      this.#loans[slot]!.set(loan.id, loan);
    }
  }

  #rowOf({ address, port }: SocketGroup): number {
    const key = `${address} ${port}`;
    const row = this.#rows.get(key) ?? listenerRow(this.#rows.size);
    if (row >= 0) this.#rows.set(key, row);
    return row;
  }

  #end(group: SocketGroup): void {
    this.version++;
    for (const [slot, loans] of this.#loans.entries()) {
      for (const [id, loan] of loans) {
        if (loan.protocol !== "tcp" || loan.port !== group.port || loan.address !== group.address)
          continue;
        loans.delete(id);
        this.#ending[slot]!.set(id, loan);
      }
    }
  }
}
