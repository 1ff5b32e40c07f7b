// A TCP relay between a client and a server whose link can be refused, cut, silenced, held back, split and
// delayed, live and from a seed. Works on bytes: knows neither etcd nor HTTP/2.

import { connect, createServer, type Server, type Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { freePorts } from "./etcd-server.ts";
import { SeededRandom } from "./seeded-random.ts";

/** "up": from the client to the server. "down": what the server sends back. None named: both. */
export type Direction = "up" | "down";

/** Where the server is; see `FaultProxy.target`. */
export interface Target {
  readonly host?: string;
  readonly port: number;
}

/** What is done to one direction of every link; its fields change live. */
interface Conduct {
  /** New data is taken and forgotten, and the end of either side hidden from the other. */
  swallow: boolean;
  /** Nothing is read: data waits with the sender. */
  hold: boolean;
  /** Each piece is passed on this many ms later. */
  delayMs: number;
  split: { readonly seed: number; readonly bytesMax: number } | undefined;
  /** Bytes of each new link that pass before it is cut. */
  cutAfter: number | undefined;
}

/** One direction of one link. */
class Lane {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #conduct: Conduct;
  readonly #cut: () => void;
  readonly #waiting: Buffer[] = [];
  #ended = false;
  #moving = false;
  #left: number | undefined;
  #deaf = false;
  #split: Conduct["split"];
  #random = new SeededRandom(0);

  constructor(from: Socket, to: Socket, conduct: Conduct, cut: () => void) {
    this.#from = from;
    this.#to = to;
    this.#conduct = conduct;
    this.#cut = cut;
    this.#left = conduct.cutAfter;
    from.setNoDelay(true);
    from.on("data", (data: Buffer) => this.#take(data));
    from.on("end", () => this.#end());
    // An error is followed by "close".
    from.on("error", () => {});
    from.on("close", (failed) => {
      if (failed && !this.#swallows) cut();
    });
    this.flush();
  }

  /** The link is cut once `bytes` more have passed; undefined: never. */
  limit(bytes: number | undefined): void {
    this.#left = bytes;
  }

  /** This link alone swallows from now on. */
  deafen(): void {
    this.#deaf = true;
  }

  /** To be called when the conduct has changed. */
  flush(): void {
    if (this.#conduct.hold) this.#from.pause();
    else if (!this.#moving) void this.#move();
  }

  get #swallows(): boolean {
    return this.#deaf || this.#conduct.swallow;
  }

  #take(data: Buffer): void {
    if (this.#swallows) return;
    this.#waiting.push(data);
    // The sender feels a slow or held link, as it would a real one.
    this.#from.pause();
    this.flush();
  }

  #end(): void {
    if (this.#swallows) return;
    this.#ended = true;
    this.flush();
  }

  /** Passes on what may pass; one at a time, so that order is kept whatever the delays. */
  async #move(): Promise<void> {
    this.#moving = true;
    while (!this.#conduct.hold && !this.#to.destroyed) {
      const data = this.#waiting.shift();
      if (data === undefined) break;
      await this.#pass(data);
    }
    this.#moving = false;
    if (this.#conduct.hold || this.#waiting.length > 0) return;
    if (this.#ended) this.#to.end();
    else this.#from.resume();
  }

  async #pass(data: Buffer): Promise<void> {
    const { delayMs } = this.#conduct;
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    for (let from = 0; from < data.length && !this.#to.destroyed; ) {
      const size = Math.min(this.#nextSize() ?? data.length, this.#left ?? data.length);
      const piece = data.subarray(from, from + size);
      from += piece.length;
      await this.#write(piece);
      // A turn in between, so that the reader sees the pieces and not their sum.
      if (this.#conduct.split !== undefined) await nextTurn();
      if (this.#left === undefined) continue;
      this.#left -= piece.length;
      if (this.#left <= 0) return this.#cut();
    }
  }

  #write(piece: Buffer): Promise<void> {
    if (piece.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#to.write(piece, () => resolve()));
  }

  #nextSize(): number | undefined {
    const { split } = this.#conduct;
    if (split === undefined) return undefined;
    if (split !== this.#split) this.#random = new SeededRandom(split.seed);
    this.#split = split;
    return 1 + this.#random.below(split.bytesMax);
  }
}

interface Link {
  readonly sockets: readonly Socket[];
  readonly lanes: Readonly<Record<Direction, Lane>>;
}

export class FaultProxy {
  /** Where new connections go; may change at any time. Existing ones stay, see `cut`. */
  target: Target;
  readonly port: number;
  /** Connections accepted so far. */
  accepted = 0;
  #server: Server | undefined;
  readonly #links = new Set<Link>();
  readonly #conduct: Readonly<Record<Direction, Conduct>> = { up: straight(), down: straight() };

  /** Use `startFaultProxy`. */
  constructor(port: number, target: Target) {
    this.port = port;
    this.target = target;
  }

  /** "http://127.0.0.1:PORT" */
  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Links that are open now. */
  get open(): number {
    return this.#links.size;
  }

  /** Resets every open link, on both sides; what was on its way is lost. */
  cut(): void {
    for (const link of this.#links) this.#end(link);
  }

  /** New connections are refused (ECONNREFUSED); those that are open stay. */
  refuse(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  /** Half-open links: new data is swallowed and nobody learns that the other side ended. New ones are accepted. */
  blackhole(...directions: readonly Direction[]): void {
    this.#change(directions, { swallow: true });
  }

  /** As `blackhole`, for the links that are open now; new ones are healthy. What a firewall that forgot its links does. */
  deafen(): void {
    for (const { lanes } of this.#links) {
      lanes.up.deafen();
      lanes.down.deafen();
    }
  }

  /** Requests reach the server, its answers are lost. */
  dropAnswers(): void {
    this.blackhole("down");
  }

  /** Holds data back, none of it lost, until `release` or `heal`. */
  stall(...directions: readonly Direction[]): void {
    this.#change(directions, { hold: true });
  }

  /** Ends `stall`. */
  release(...directions: readonly Direction[]): void {
    this.#change(directions, { hold: false });
  }

  /** Every piece arrives `delayMs` later, in order. */
  delay(delayMs: number, ...directions: readonly Direction[]): void {
    this.#change(directions, { delayMs });
  }

  /** Data is passed on in writes of 1 to `bytesMax` bytes whose sizes follow from `seed`, the same for each link. */
  split(seed: number, bytesMax: number, ...directions: readonly Direction[]): void {
    this.#change(directions, { split: { seed, bytesMax } });
  }

  /** Each link, open or new, is cut when exactly `bytes` more have passed in this direction. */
  cutAfter(bytes: number, direction: Direction): void {
    this.#conduct[direction].cutAfter = bytes;
    for (const { lanes } of this.#links) lanes[direction].limit(bytes);
  }

  /**
   * No more faults: connections are accepted again and what was held goes on. Links that lost bytes are cut, as
   * going on with a gap is something that TCP never does.
   */
  async heal(): Promise<void> {
    const lost = this.#conduct.up.swallow || this.#conduct.down.swallow;
    Object.assign(this.#conduct.up, straight());
    Object.assign(this.#conduct.down, straight());
    if (lost) this.cut();
    for (const { lanes } of this.#links) {
      lanes.up.limit(undefined);
      lanes.down.limit(undefined);
    }
    this.release();
    await this.listen();
  }

  /** Accepts connections; harmless when it does. */
  async listen(): Promise<void> {
    if (this.#server !== undefined) return;
    const server = createServer({ allowHalfOpen: true }, (client) => this.#join(client));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.port, "127.0.0.1", resolve);
    });
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.cut();
    this.refuse();
    if (server?.listening === true) await new Promise((resolve) => server.once("close", resolve));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #join(client: Socket): void {
    this.accepted += 1;
    const server = connect({ host: "127.0.0.1", allowHalfOpen: true, ...this.target });
    const cut = (): void => this.#end(link);
    const link: Link = {
      sockets: [client, server],
      lanes: {
        up: new Lane(client, server, this.#conduct.up, cut),
        down: new Lane(server, client, this.#conduct.down, cut),
      },
    };
    this.#links.add(link);
    for (const socket of link.sockets) {
      socket.on("close", () => {
        if (client.destroyed && server.destroyed) this.#links.delete(link);
      });
    }
  }

  #end(link: Link): void {
    this.#links.delete(link);
    for (const socket of link.sockets) {
      if (socket.connecting) socket.destroy();
      else socket.resetAndDestroy();
    }
  }

  #change(directions: readonly Direction[], conduct: Partial<Conduct>): void {
    const chosen: readonly Direction[] = directions.length === 0 ? ["up", "down"] : directions;
    for (const direction of chosen) Object.assign(this.#conduct[direction], conduct);
    for (const { lanes } of this.#links) {
      for (const direction of chosen) lanes[direction].flush();
    }
  }
}

/** A relay to `target` on a port of its own. The caller ends it with `close`. */
export async function startFaultProxy(target: Target): Promise<FaultProxy> {
  const [port = 0] = await freePorts(1);
  const proxy = new FaultProxy(port, target);
  await proxy.listen();
  return proxy;
}

function straight(): Conduct {
  return { swallow: false, hold: false, delayMs: 0, split: undefined, cutAfter: undefined };
}
