// The table as etcd holds it, read with etcdctl and none of our code, beside the table that a node tells.

import { setTimeout as sleep } from "node:timers/promises";
import type * as proto from "../../src/gen/crosspoint/v1/router.ts";
import type { EtcdServer } from "./etcd-server.ts";
import type { Client } from "./rpc-node.ts";

const prefix = "/crosspoint";
/** The tables must equal etcd this long after its return, in ms. */
const settleMsMax = 5_000;

/** What still differs between etcd and any of the nodes when they had their time; empty as soon as they are equal. */
export async function lastingDifferences(
  etcd: Pick<EtcdServer, "ctl">,
  nodes: readonly { readonly name: string; readonly client: Client }[],
): Promise<readonly string[]> {
  const startMs = performance.now();
  for (;;) {
    const differences: string[] = [];
    for (const { name, client } of nodes) {
      const found = await tableDifferences(etcd, client);
      differences.push(...found.map((line) => `${name}: ${line}`));
    }
    if (differences.length === 0 || performance.now() - startMs > settleMsMax) return differences;
    await sleep(50);
  }
}

/** Every route and backend in which the two differ, as text; empty when they are equal. */
export async function tableDifferences(
  etcd: Pick<EtcdServer, "ctl">,
  client: Client,
): Promise<readonly string[]> {
  const stored = await storedEntries(etcd);
  const told = await toldEntries(client);
  const differences: string[] = [];
  for (const [key, text] of stored) {
    const there = told.get(key);
    if (there !== text)
      differences.push(`${key}: etcd has ${text}, the node ${there ?? "nothing"}`);
  }
  for (const key of told.keys()) {
    if (!stored.has(key)) differences.push(`${key}: the node has it, etcd does not`);
  }
  return differences;
}

/** "routes/web" -> "app.example.com/ web"; "backends/web/10.0.0.1:80" -> "100". */
async function storedEntries(etcd: Pick<EtcdServer, "ctl">): Promise<Map<string, string>> {
  const entries = new Map<string, string>();
  for (const folder of ["routes", "backends"]) {
    const text = await etcd.ctl("get", "--prefix", `${prefix}/${folder}/`, "-w", "json");
    const { kvs = [] } = JSON.parse(text) as { kvs?: { key: string; value: string }[] };
    for (const kv of kvs) {
      const key = fromBase64(kv.key).slice(prefix.length + 1);
      entries.set(key, storedText(JSON.parse(fromBase64(kv.value)) as Stored));
    }
  }
  return entries;
}

interface Stored {
  readonly http?: { readonly domain: string; readonly pathPrefix?: string };
  readonly tcp?: { readonly port: number };
  readonly service?: string;
  readonly weight?: number;
}

function storedText({ http, tcp, service, weight }: Stored): string {
  if (http !== undefined) return `${http.domain}${http.pathPrefix ?? "/"} ${service}`;
  return tcp === undefined ? `${weight ?? 100}` : `tcp ${tcp.port} ${service}`;
}

async function toldEntries(client: Client): Promise<Map<string, string>> {
  const entries = new Map<string, string>();
  for (let pageToken = ""; ; ) {
    const page = await client.call("listRoutes", { pageSize: 1000, pageToken });
    for (const route of page.routes) entries.set(`routes/${route.name}`, toldText(route));
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  for (let pageToken = ""; ; ) {
    const page = await client.call("listBackends", { pageSize: 1000, pageToken });
    for (const { backend } of page.backends) {
      entries.set(`backends/${backend?.service}/${backend?.address}`, `${backend?.weight}`);
    }
    pageToken = page.nextPageToken;
    if (pageToken === "") return entries;
  }
}

function toldText({ match, service }: proto.Route): string {
  if (match?.$case === "tcp") return `tcp ${match.value.port} ${service}`;
  return `${match?.value.domain}${match?.value.pathPrefix || "/"} ${service}`;
}

function fromBase64(text: string): string {
  return Buffer.from(text, "base64").toString("utf8");
}
