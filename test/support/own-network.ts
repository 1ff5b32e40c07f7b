// Runs a program again in a network namespace of its own, where only the loopback is, and the kernel's buffers are
// small: what is not read then waits in the router and not in them. Linux; root, or a kernel that lets users have
// namespaces. Knows nothing of what runs.

import { spawn } from "node:child_process";
import { once } from "node:events";

/** Set for the program inside. */
const mark = "CROSSPOINT_SOAK_NETWORK";
/** Of every socket's buffers, in bytes: least, at first, most. */
const buffers = "4096 16384 32768";

export const isInOwnNetwork = process.env[mark] !== undefined;

/** Runs this very command inside, and resolves with its exit status. */
export async function rerunInOwnNetwork(): Promise<number> {
  const set = ["tcp_rmem", "tcp_wmem"].map(
    (name) => `echo ${buffers} > /proc/sys/net/ipv4/${name}`,
  );
  const script = ["ip link set lo up", ...set, 'exec "$@"'].join(" && ");
  const user = process.getuid?.() === 0 ? [] : ["--map-root-user"];
  const command = [process.execPath, ...process.argv.slice(1)];
  const words = [...user, "--net", "--fork", "--kill-child", "sh", "-c", script, "sh", ...command];
  const child = spawn("unshare", words, { stdio: "inherit", env: { ...process.env, [mark]: "1" } });
  const end = (): boolean => child.kill("SIGKILL");
  process.on("exit", end);
  const [status] = (await once(child, "close")) as [number | null];
  process.off("exit", end);
  return status ?? 1;
}
