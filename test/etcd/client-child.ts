// A process that uses a client and closes it, for client-close.test.ts: it must end by itself.
// Arguments: the endpoint, and whether the client is idle or in the middle of calls when it is closed.

import { EtcdClient } from "../../src/etcd/client.ts";
import { realSystem } from "../../src/system.ts";

const [, , endpoint = "", moment = ""] = process.argv;
const nobody = { user: undefined, password: undefined, passwordFile: undefined };
const noFiles = { caFile: undefined, certFile: undefined, keyFile: undefined };
const etcd = await EtcdClient.open({ endpoints: [endpoint], ...nobody, ...noFiles }, realSystem);

if (moment === "idle") {
  const { header } = await etcd.range({ key: "k" });
  const { lease } = await etcd.grantLease(60);
  await etcd.keepLeaseAlive(lease);
  await etcd.transact({
    compare: [],
    success: [{ kind: "put", key: "k", value: "v", lease }],
    failure: [],
  });
  await new Promise<void>((resolve, reject) => {
    const startRevision = header.revision + 1;
    etcd.watch({ key: "k", startRevision }, ({ kind }) => kind === "events" && resolve(), reject);
  });
} else {
  etcd.range({ key: "k" }).catch(() => {});
  etcd.watch(
    { key: "k", startRevision: 1 },
    () => {},
    () => {},
  );
  // The connection is being made.
  await new Promise(setImmediate);
}
await etcd.close();
process.stdout.write("closed");
