// Which row of channel/in-flight.ts counts which service, backend or address. Only what has limits, or is paused, has one.
//
// Kept by the main thread, which sees every change before a worker does: so a row has one name at a time, for sure. A
// name that nobody needs any more keeps its row until every worker has heard of that and counts nothing there
// (`reclaim`). When all rows are taken a name has none: each worker then holds to its part of the limit.
//
// Does not know: messages, who is told.

import { inFlightRowsMax } from "../limits.ts";
import type { Change } from "../model/change.ts";
import type { ServiceName } from "../model/names.ts";
import type { ServiceOptions } from "../model/service-options.ts";
import type { Table } from "../model/table.ts";

export type NamedRow = readonly [name: string, row: number];

export class RowBook {
  readonly #rowOf = new Map<string, number>();
  /** How many services want the name: an address may be in several. */
  readonly #users = new Map<string, number>();
  readonly #namesOf = new Map<ServiceName, readonly string[]>();
  /** Names that nobody wants and that still have their row. */
  readonly #leaving = new Set<string>();
  /** Rows that had a name before; then come those from `#next` on. */
  readonly #free: number[] = [];
  readonly #rows: number;
  #next = 0;

  constructor(rows = inFlightRowsMax) {
    this.#rows = rows;
  }

  /** All that have a row. */
  entries(): readonly NamedRow[] {
    return [...this.#rowOf];
  }

  rowOf(name: string): number | undefined {
    return this.#rowOf.get(name);
  }

  /** Names that should have a row and have none: there are no more. */
  get missing(): number {
    return this.#users.size - (this.#rowOf.size - this.#leaving.size);
  }

  /** Reads a whole table; answers what has come. */
  begin(table: Table): readonly NamedRow[] {
    const came: NamedRow[] = [];
    for (const { name, options } of table.services()) {
      if (options !== undefined) this.#look(name, table, came);
    }
    return came;
  }

  /** After these changes were made in `table`: the names that have got a row by them. */
  follow(changes: readonly Change[], table: Table): readonly NamedRow[] {
    const came: NamedRow[] = [];
    const seen = new Set<ServiceName>();
    for (const change of changes) {
      const service = serviceOf(change);
      if (service === undefined || seen.has(service)) continue;
      seen.add(service);
      this.#look(service, table, came);
    }
    return came;
  }

  /** To be called when every worker serves the newest table: the names that have lost their row. */
  reclaim(isIdle: (row: number) => boolean): readonly string[] {
    const gone: string[] = [];
    for (const name of this.#leaving) {
      const row = this.#rowOf.get(name);
      if (row === undefined || !isIdle(row)) continue;
      this.#leaving.delete(name);
      this.#rowOf.delete(name);
      this.#free.push(row);
      gone.push(name);
    }
    return gone;
  }

  #look(service: ServiceName, table: Table, came: NamedRow[]): void {
    const before = this.#namesOf.get(service);
    const options = table.service(service)?.options;
    if (before === undefined && !hasRows(options)) return;
    const names = namesOf(service, options, table);
    if (names.length === 0) this.#namesOf.delete(service);
    else this.#namesOf.set(service, names);
    for (const name of names) this.#want(name, came);
    for (const name of before ?? []) this.#leave(name);
  }

  #want(name: string, came: NamedRow[]): void {
    this.#users.set(name, (this.#users.get(name) ?? 0) + 1);
    this.#leaving.delete(name);
    if (this.#rowOf.has(name)) return;
    const row = this.#free.pop() ?? (this.#next < this.#rows ? this.#next++ : undefined);
    if (row === undefined) return;
    this.#rowOf.set(name, row);
    came.push([name, row]);
  }

  #leave(name: string): void {
    const left = (this.#users.get(name) ?? 0) - 1;
    if (left > 0) return void this.#users.set(name, left);
    this.#users.delete(name);
    if (this.#rowOf.has(name)) this.#leaving.add(name);
  }
}

/** The service itself, then each backend if it is counted, then each address if its connections are. */
function namesOf(
  service: ServiceName,
  options: ServiceOptions | undefined,
  table: Table,
): readonly string[] {
  if (!hasRows(options)) return [];
  const names: string[] = [service];
  const { requestsPerBackend, connectionsPerBackend } = options?.limits ?? {};
  for (const { address } of table.backendsOf(service).values()) {
    if (requestsPerBackend !== undefined) names.push(`${service} ${address}`);
    if (connectionsPerBackend !== undefined) names.push(address);
  }
  return names;
}

function hasRows(options: ServiceOptions | undefined): boolean {
  return options?.limits !== undefined || options?.pause !== undefined;
}

function serviceOf(change: Change): ServiceName | undefined {
  switch (change.kind) {
    case "service-put":
      return change.service.name;
    case "service-removed":
      return change.name;
    case "backend-put":
      return change.backend.service;
    case "backend-removed":
      return change.service;
    default:
      return undefined;
  }
}
