// crosspoint service put | remove

import {
  PutServiceRequest,
  PutServiceResponse,
  RemoveServiceRequest,
  RemoveServiceResponse,
} from "../../gen/crosspoint/v1/router.ts";
import { withNode } from "../client.ts";
import { type Command, isOn, textOf } from "../command.ts";
import { serviceText } from "../service-text.ts";
import { serviceFlags, serviceOfWords } from "../service-words.ts";
import { noteLagging, printJson, waitFlag, waitOf } from "../show.ts";
import { printable } from "../table.ts";

export const servicePut: Command = {
  path: ["service", "put"],
  summary: "create a service's settings, or replace them whole",
  arguments: [{ name: "NAME", help: "the service", complete: "service" }],
  flags: [...serviceFlags, waitFlag],
  client: true,
  examples: [
    "crosspoint service put web --policy round-robin --check http:/healthz --check-interval 5s",
    "crosspoint service put sessions --policy ring-hash --hash cookie:session",
    "crosspoint service put api --max-requests-per-backend 100 --queue 1000 --queue-time 2s",
    "crosspoint service put postgres --policy leader --check tcp --tcp-idle-time 1h",
  ],
  run: ({ args, flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const request = PutServiceRequest.fromPartial({
        service: serviceOfWords(args[0] ?? "", flags),
        wait: waitOf(textOf(flags, "wait")),
      });
      const answer = await node.call<PutServiceResponse>((stub, ...rest) =>
        stub.putService(request, ...rest),
      );
      if (isOn(flags, "json")) {
        printJson(terminal, "PutServiceResponse", PutServiceResponse, answer);
      } else if (answer.service !== undefined) {
        const shown = printable(serviceText(answer.service));
        terminal.print(`${shown}  (revision ${answer.revision})`);
      }
      return noteLagging(answer.lagging, terminal);
    }),
};

export const serviceRemove: Command = {
  path: ["service", "remove"],
  summary: "remove a service's settings; refused while a route or a backend names it",
  arguments: [{ name: "NAME", help: "the service", complete: "service" }],
  flags: [waitFlag],
  client: true,
  run: ({ args, flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const name = args[0] ?? "";
      const request = RemoveServiceRequest.fromPartial({
        name,
        wait: waitOf(textOf(flags, "wait")),
      });
      const answer = await node.call<RemoveServiceResponse>((stub, ...rest) =>
        stub.removeService(request, ...rest),
      );
      if (isOn(flags, "json")) {
        printJson(terminal, "RemoveServiceResponse", RemoveServiceResponse, answer);
      } else terminal.print(`removed ${printable(name)}  (revision ${answer.revision})`);
      return noteLagging(answer.lagging, terminal);
    }),
};
