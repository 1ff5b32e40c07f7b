// crosspoint service list

import {
  ListServicesResponse,
  type Service,
  type ServiceStatus,
} from "../../gen/crosspoint/v1/router.ts";
import { realSystem } from "../../system.ts";
import { withNode } from "../client.ts";
import { type Command, isOn } from "../command.ts";
import { ExitStatus } from "../failure.ts";
import { policyAndKeyText, settingTexts } from "../service-text.ts";
import { checkText, printJson, proxyProtocolText } from "../show.ts";
import { type Cell, printTable } from "../table.ts";

export const serviceList: Command = {
  path: ["service", "list"],
  summary: "the services, by name; also those that only a route or a backend names",
  arguments: [],
  flags: [],
  client: true,
  run: ({ flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const list = await node.services(true);
      if (isOn(flags, "json")) {
        printJson(terminal, "ListServicesResponse", ListServicesResponse, list);
      } else {
        const nowMs = realSystem.wallMs();
        printTable(
          terminal,
          ["NAME", "POLICY", "PROXY", "CHECK", "USABLE", "BUSY", "WAITING", "PAUSED", "SETTINGS"],
          list.services.map((service, i) => rowOf(service, list.statuses[i], nowMs)),
        );
      }
      return ExitStatus.Done;
    }),
};

/** @param status Absent: a node that does not tell it. */
function rowOf(service: Service, status: ServiceStatus | undefined, nowMs: number): Cell[] {
  return [
    service.name,
    policyAndKeyText(service),
    proxyProtocolText(service),
    checkText(service),
    usableCell(status),
    String(status?.requestsInFlight ?? ""),
    String(status?.waiting ?? ""),
    pausedCell(service, nowMs),
    // A pause has a column of its own.
    settingTexts({ ...service, pause: undefined }).join("; "),
  ];
}

/** "2/3". */
function usableCell(status: ServiceStatus | undefined): Cell {
  if (status === undefined) return "";
  const { backends, backendsUsable } = status;
  const text = `${backendsUsable}/${backends}`;
  if (backendsUsable === backends) return text;
  return { text, style: backendsUsable === 0 ? "red" : "yellow" };
}

/** For how long. */
function pausedCell({ pause }: Service, nowMs: number): Cell {
  if (pause === undefined) return "";
  const sinceMs = pause.since?.getTime() ?? nowMs;
  return { text: `${Math.max(0, Math.round((nowMs - sinceMs) / 1_000))}s`, style: "yellow" };
}
