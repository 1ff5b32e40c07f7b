// crosspoint completion bash|zsh|fish

import type { Command } from "../command.ts";
import { printCompletionScript, shells } from "../completion.ts";
import { ExitStatus, usageError } from "../failure.ts";

export const completion: Command = {
  path: ["completion"],
  summary: "the script that makes a shell complete commands, flags and live names",
  arguments: [{ name: "SHELL", help: shells.join(", "), complete: shells }],
  flags: [],
  client: false,
  examples: [
    "source <(crosspoint completion bash)",
    "crosspoint completion fish > ~/.config/fish/completions/crosspoint.fish",
  ],
  run({ args: [shell = ""], terminal }) {
    if (!shells.some((known) => known === shell)) {
      return Promise.reject(
        usageError(`SHELL: ${JSON.stringify(shell)} is not one of ${shells.join(", ")}`),
      );
    }
    printCompletionScript(shell, terminal);
    return Promise.resolve(ExitStatus.Done);
  },
};
