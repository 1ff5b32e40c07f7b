// crosspoint backend add | remove

import { parseDuration } from "../../config-values.ts";
import {
  DeregisterBackendRequest,
  DeregisterBackendResponse,
  RegisterBackendRequest,
  RegisterBackendResponse,
} from "../../gen/crosspoint/v1/router.ts";
import { realSystem } from "../../system.ts";
import { withNode } from "../client.ts";
import { type Command, isOn, textOf, textsOf } from "../command.ts";
import { withDrainProgress } from "../drain-progress.ts";
import { ExitStatus } from "../failure.ts";
import { durationOf, pairsOf, parseNumberWord } from "../parse-words.ts";
import { noteLagging, printJson, waitFlag, waitOf } from "../show.ts";
import { printable } from "../table.ts";

export const backendAdd: Command = {
  path: ["backend", "add"],
  summary: "register a backend, or renew its TTL",
  arguments: [
    { name: "SERVICE", help: "whom it serves", complete: "service" },
    { name: "ADDRESS", help: "HOST:PORT" },
  ],
  flags: [
    { name: "weight", value: "N", help: "1 to 1000 (default: 100)" },
    { name: "ttl", value: "DURATION", help: "gone unless registered again within this time" },
    { name: "label", value: "KEY=VALUE", help: "a label; repeatable", repeatable: true },
    waitFlag,
  ],
  client: true,
  examples: [
    "crosspoint backend add web 10.0.0.7:8080",
    "crosspoint backend add web [::1]:8080 --ttl 10s",
  ],
  run: ({ args, flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const ttl = textOf(flags, "ttl");
      const weight = textOf(flags, "weight");
      const request = RegisterBackendRequest.fromPartial({
        backend: {
          service: args[0] ?? "",
          address: args[1] ?? "",
          weight: weight === undefined ? 0 : parseNumberWord(weight, "--weight", 1),
          labels: pairsOf(textsOf(flags, "label"), "--label"),
        },
        ...(ttl === undefined ? {} : { ttl: durationOf(parseDuration(ttl, "--ttl")) }),
        wait: waitOf(textOf(flags, "wait")),
      });
      const answer = await node.call<RegisterBackendResponse>((stub, ...rest) =>
        stub.registerBackend(request, ...rest),
      );
      if (isOn(flags, "json")) {
        printJson(terminal, "RegisterBackendResponse", RegisterBackendResponse, answer);
      } else {
        terminal.print(`${printable(`${args[0]} -> ${args[1]}`)}  (revision ${answer.revision})`);
      }
      return noteLagging(answer.lagging, terminal);
    }),
};

export const backendRemove: Command = {
  path: ["backend", "remove"],
  summary: "send no new work to a backend, and forget it",
  arguments: [
    { name: "SERVICE", help: "whom it serves", complete: "service" },
    { name: "ADDRESS", help: "HOST:PORT" },
  ],
  flags: [
    {
      name: "drain",
      value: "DURATION",
      help: "let its open work finish first, on every node; what is open after this time is cut",
    },
  ],
  client: true,
  run: ({ args, flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const drain = textOf(flags, "drain");
      const drainMs = drain === undefined ? 0 : parseDuration(drain, "--drain");
      const request = DeregisterBackendRequest.fromPartial({
        service: args[0] ?? "",
        address: args[1] ?? "",
        ...(drain === undefined ? {} : { drain: durationOf(drainMs) }),
      });
      const call = node.call<DeregisterBackendResponse>(
        (stub, ...rest) => stub.deregisterBackend(request, ...rest),
        drainMs,
      );
      const shown = isOn(flags, "json") ? {} : terminal;
      const answer = await (drain === undefined
        ? call
        : withDrainProgress(call, shown, node, {
            ...request,
            untilMs: realSystem.wallMs() + drainMs,
          }));
      if (isOn(flags, "json")) {
        printJson(terminal, "DeregisterBackendResponse", DeregisterBackendResponse, answer);
      } else {
        const cut = answer.cut === 0 ? "" : `, ${answer.cut} cut`;
        const what = printable(`${args[0]} -> ${args[1]}`);
        terminal.print(`removed ${what}  (revision ${answer.revision}${cut})`);
      }
      return ExitStatus.Done;
    }),
};
