// crosspoint serve: the table of settings as flags, and a Config from what was given.

import {
  type Config,
  environmentName,
  parseConfig,
  type ServeOption,
  serveOptions,
} from "../../config.ts";
import { ioSettings } from "../../config-values.ts";
import type { Command, Completion, Flag } from "../command.ts";

/** @param serve Runs a node until it is told to end, and answers the exit status. */
export function serveCommand(serve: (config: Config) => Promise<number>): Command {
  return {
    path: ["serve"],
    summary: "run a node",
    arguments: [],
    flags: Object.values<ServeOption>(serveOptions).map(flagOf),
    client: false,
    examples: [
      "crosspoint serve --demo",
      "crosspoint serve --store sqlite:/var/lib/crosspoint/routes.db --http 0.0.0.0:80",
      "crosspoint serve --store etcd:http://10.0.0.5:2379,http://10.0.0.6:2379 --node-name edge-1",
      "",
      `Every setting is also a variable (--tcp-ports: ${environmentName("tcp-ports")}) and a key of --config`,
      "FILE (tcp-ports). Flags win over variables, variables over the file.",
    ],
    run: ({ flags, env }) => serve(parseConfig(flags, env)),
  };
}

const choicesOf: Readonly<Record<string, Completion>> = {
  io: ioSettings,
  "log-format": ["json", "text"],
  config: "file",
  "etcd-password-file": "file",
  "etcd-ca": "file",
  "etcd-cert": "file",
  "etcd-key": "file",
};

/** A setting as a flag. */
export function flagOf({ flag, value, help, fallback, repeatable }: ServeOption): Flag {
  const notes = [fallback === "" ? "" : `default: ${fallback}`, repeatable ? "repeatable" : ""];
  const shown = notes.filter(Boolean).join("; ");
  const complete = choicesOf[flag];
  return {
    name: flag,
    value,
    help: shown === "" ? help : `${help} (${shown})`,
    repeatable,
    ...(complete === undefined ? {} : { complete }),
  };
}
