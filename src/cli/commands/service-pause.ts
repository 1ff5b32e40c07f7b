// crosspoint service pause | resume

import { parseDuration } from "../../config-values.ts";
import {
  PauseServiceRequest,
  PauseServiceResponse,
  ResumeServiceRequest,
  ResumeServiceResponse,
} from "../../gen/crosspoint/v1/router.ts";
import { withNode } from "../client.ts";
import { type Command, isOn, textOf } from "../command.ts";
import { ExitStatus } from "../failure.ts";
import { durationOf, parseNumberWord } from "../parse-words.ts";
import { noteLagging, printJson, waitFlag, waitOf } from "../show.ts";
import { printable } from "../table.ts";

export const servicePause: Command = {
  path: ["service", "pause"],
  summary: "hold a service's new requests and connections, and wait until nothing is in flight",
  arguments: [{ name: "NAME", help: "the service", complete: "service" }],
  flags: [
    { name: "queue", value: "N", help: "who may wait, on each node (default: 1000)" },
    { name: "queue-time", value: "DURATION", help: "how long each may (default: 30s)" },
  ],
  client: true,
  examples: [
    "crosspoint service pause web && systemctl restart web; crosspoint service resume web",
  ],
  run: ({ args, flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const name = args[0] ?? "";
      const queue = textOf(flags, "queue");
      const time = textOf(flags, "queue-time");
      const request = PauseServiceRequest.fromPartial({
        service: name,
        queue: queue === undefined ? 0 : parseNumberWord(queue, "--queue", 1),
        ...(time === undefined
          ? {}
          : { queueTime: durationOf(parseDuration(time, "--queue-time")) }),
      });
      const answer = await node.call<PauseServiceResponse>((stub, ...rest) =>
        stub.pauseService(request, ...rest),
      );
      if (isOn(flags, "json")) {
        printJson(terminal, "PauseServiceResponse", PauseServiceResponse, answer);
      } else terminal.print(`paused ${printable(name)}  (revision ${answer.revision})`);
      const status = noteLagging(answer.lagging, terminal);
      if (answer.inFlight === 0) return status;
      terminal.note(
        `${answer.inFlight} requests and connections are still in flight to its backends: ask again to wait for them`,
      );
      return ExitStatus.Lagging;
    }),
};

export const serviceResume: Command = {
  path: ["service", "resume"],
  summary: "let a paused service's requests go, in the order in which they came",
  arguments: [{ name: "NAME", help: "the service", complete: "service" }],
  flags: [waitFlag],
  client: true,
  run: ({ args, flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const name = args[0] ?? "";
      const request = ResumeServiceRequest.fromPartial({
        service: name,
        wait: waitOf(textOf(flags, "wait")),
      });
      const answer = await node.call<ResumeServiceResponse>((stub, ...rest) =>
        stub.resumeService(request, ...rest),
      );
      if (isOn(flags, "json")) {
        printJson(terminal, "ResumeServiceResponse", ResumeServiceResponse, answer);
      } else terminal.print(`resumed ${printable(name)}  (revision ${answer.revision})`);
      return noteLagging(answer.lagging, terminal);
    }),
};
