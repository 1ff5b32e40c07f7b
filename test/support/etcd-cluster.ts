// Three real etcds that elect a leader, for failover. Each keeps its ports and data over kill and restart.

import { setTimeout as pause } from "node:timers/promises";
import { EtcdServer, freePorts } from "./etcd-server.ts";

const leaderMsMax = 15_000;

export class EtcdCluster {
  readonly members: readonly EtcdServer[];

  constructor(members: readonly EtcdServer[]) {
    this.members = members;
  }

  get endpoints(): readonly string[] {
    return this.members.map((member) => member.endpoint);
  }

  /** The member that leads, by the word of those that answer; waits while there is none. */
  async leader(): Promise<EtcdServer> {
    const untilMs = Date.now() + leaderMsMax;
    for (;;) {
      for (const member of this.members) {
        if (await leads(member)) return member;
      }
      if (Date.now() > untilMs) throw new Error("no member leads");
      await pause(50);
    }
  }

  /** The members that do not lead. */
  async others(): Promise<EtcdServer[]> {
    const leader = await this.leader();
    return this.members.filter((member) => member !== leader);
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop()));
  }
}

/** Three members, ready. The caller ends them with `stop`. */
export async function startEtcdCluster(extraArgs: readonly string[] = []): Promise<EtcdCluster> {
  const ports = await freePorts(6);
  const plan = [0, 1, 2].map((index) => ({
    name: `m${index}`,
    clientPort: ports[index] ?? 0,
    peerPort: ports[index + 3] ?? 0,
  }));
  const initialCluster = plan
    .map(({ name, peerPort }) => `${name}=http://127.0.0.1:${peerPort}`)
    .join(",");
  const cluster = new EtcdCluster(
    plan.map((member) => new EtcdServer({ ...member, initialCluster, extraArgs })),
  );
  try {
    for (const member of cluster.members) member.launch();
    await Promise.all(cluster.members.map((member) => member.ready()));
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

async function leads(member: EtcdServer): Promise<boolean> {
  try {
    const text = await member.ctl(
      "endpoint",
      "status",
      "--command-timeout=1s",
      "--dial-timeout=1s",
      "--write-out=json",
    );
    const [status] = JSON.parse(text) as [
      { Status: { leader?: number; header: { member_id: number } } }?,
    ];
    return (
      status?.Status.leader !== undefined && status.Status.leader === status.Status.header.member_id
    );
  } catch {
    return false;
  }
}
