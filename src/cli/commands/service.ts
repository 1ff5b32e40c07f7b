// crosspoint service put | remove

import {
  HealthCheck,
  PutServiceRequest,
  PutServiceResponse,
  RemoveServiceRequest,
  RemoveServiceResponse,
} from "../../gen/crosspoint/v1/router.ts";
import { withNode } from "../client.ts";
import { type Command, isOn, textOf } from "../command.ts";
import { parseCheck } from "../parse-words.ts";
import {
  noteLagging,
  policies,
  printJson,
  proxyProtocols,
  serviceText,
  waitFlag,
  waitOf,
} from "../show.ts";
import { printable } from "../table.ts";

export const servicePut: Command = {
  path: ["service", "put"],
  summary: "create a service's settings, or replace them whole",
  arguments: [{ name: "NAME", help: "the service", complete: "service" }],
  flags: [
    {
      name: "policy",
      value: "POLICY",
      help: "how a backend is chosen (default: least-loaded)",
      choices: Object.keys(policies),
    },
    {
      name: "send-proxy",
      value: "VERSION",
      help: "begin connections to its backends with a PROXY protocol preface: v1 or v2",
      choices: Object.keys(proxyProtocols),
    },
    { name: "check", value: "PROBE", help: "health check: http:/PATH, tcp or grpc[:SERVICE]" },
    waitFlag,
  ],
  client: true,
  examples: ["crosspoint service put web --policy round-robin"],
  run: ({ args, flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const check = textOf(flags, "check");
      const request = PutServiceRequest.fromPartial({
        service: {
          name: args[0] ?? "",
          policy: policies[textOf(flags, "policy") ?? ""] ?? 0,
          proxyProtocol: proxyProtocols[textOf(flags, "send-proxy") ?? ""] ?? 0,
          ...(check === undefined
            ? {}
            : { healthCheck: HealthCheck.fromPartial({ probe: parseCheck(check, "--check") }) }),
        },
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
