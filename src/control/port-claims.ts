// Holds the ports of TCP routes that are about to be stored, so that what is stored can be listened on.

import { RouterError } from "../model/errors.ts";
import { deriveRouteName, matchKeyOf, type Route } from "../model/route.ts";
import type { Table } from "../model/table.ts";
import type { Step } from "./change-plan.ts";
import type { PortReservation, Serving } from "./serving.ts";
import type { TableView } from "./table-view.ts";

export interface PortClaims {
  /** As planned, with the ports that were allocated. */
  readonly steps: readonly Step[];
  /** Gives every port back; for when the write failed. */
  release(): void;
}

/** Rejects "failed-precondition" or "resource-exhausted" as `Serving.reservePort`; then holds nothing. */
export async function claimPorts(
  steps: readonly Step[],
  { table, stored }: Pick<TableView, "table" | "stored">,
  serving: Serving,
): Promise<PortClaims> {
  const held: PortReservation[] = [];
  const release = (): void => {
    for (const reservation of held.splice(0)) reservation.release();
  };
  try {
    const planned = new Set(steps.map(portOf));
    const taken = (port: number): boolean =>
      planned.has(port) || holds(table, port) || stored.route(nameOfPort(port)) !== undefined;
    const filled: Step[] = [];
    for (const step of steps) {
      const port = portOf(step);
      if (port === undefined || (port !== 0 && holds(table, port))) {
        filled.push(step);
        continue;
      }
      const reservation = await serving.reservePort(port, taken);
      held.push(reservation);
      planned.add(reservation.port);
      filled.push(step.open === undefined ? step : withPort(step, reservation.port));
    }
    return { steps: filled, release };
  } catch (error) {
    release();
    throw RouterError.from(error);
  }
}

/** The port that a step needs; 0 for any; undefined when it needs none. */
function portOf(step: Step): number | undefined {
  if (step.action === "none" || step.after?.match.kind !== "tcp") return undefined;
  return step.after.match.port;
}

/** Some route has the port already, so that this node listens on it. */
function holds(table: Table, port: number): boolean {
  return table.routeOfMatch(matchKeyOf({ kind: "tcp", port })) !== undefined;
}

function nameOfPort(port: number): Route["name"] {
  return deriveRouteName({ kind: "tcp", port });
}

function withPort(step: Step, port: number): Step {
  const { open, after, ...rest } = step;
  if (open === undefined || after === undefined) return step;
  const name = open.unnamed ? nameOfPort(port) : after.name;
  const route: Route = { ...after, name, match: { kind: "tcp", port } };
  return { ...rest, after: route, change: { kind: "route-put", route } };
}
