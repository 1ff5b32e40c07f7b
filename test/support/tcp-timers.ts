// What the kernel tells of the timers of this machine's TCP connections (proc_net_tcp in the kernel's documentation).

import { readFileSync } from "node:fs";

/** Of a connection over IPv4, named by its two ports; undefined: no keepalive timer runs on it. In ms. */
export function keepAliveLeftMs(localPort: number, remotePort: number): number | undefined {
  const port = (column: string | undefined): number => parseInt(column?.split(":")[1] ?? "", 16);
  for (const line of readFileSync("/proc/self/net/tcp", "latin1").split("\n").slice(1)) {
    // "0: 0100007F:AADF 0100007F:1F90 01 00000000:00000000 02:000001F4 ...": 2 is the keepalive timer, in 100ths of a second.
    const [, local, remote, , , timer = ""] = line.trim().split(/\s+/);
    if (port(local) !== localPort || port(remote) !== remotePort) continue;
    return timer.startsWith("02:") ? parseInt(timer.slice(3), 16) * 10 : undefined;
  }
  throw new Error(`there is no connection from port ${localPort} to port ${remotePort}`);
}
