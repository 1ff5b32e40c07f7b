// What the machine says about itself, as far as settings follow from it.

import { readFileSync } from "node:fs";
import { availableParallelism, homedir, hostname } from "node:os";
import { isAbsolute, join } from "node:path";

/** Tests bring their own. */
export interface HostFacts {
  hostname(): string;
  homedir(): string;
  cores(): number;
  readFile(path: string): string;
}

export const realHost: HostFacts = {
  hostname,
  homedir,
  cores: availableParallelism,
  readFile: (path) => readFileSync(path, "utf8"),
};

/** systemd's, else the XDG base directory's (which counts only when absolute), else its default. */
export function stateDirectory(env: NodeJS.ProcessEnv, host: HostFacts): string {
  const ofUnit = env["STATE_DIRECTORY"]?.split(":")[0] ?? "";
  if (isAbsolute(ofUnit)) return ofUnit;
  const ofUser = env["XDG_STATE_HOME"] ?? "";
  const base = isAbsolute(ofUser) ? ofUser : join(host.homedir(), ".local", "state");
  return join(base, "crosspoint");
}
