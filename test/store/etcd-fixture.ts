// Stores on one real etcd: a server per file, a prefix per test.

import { afterAll, beforeAll, onTestFinished } from "vitest";
import { EtcdClient } from "../../src/etcd/client.ts";
import type { EtcdSetting } from "../../src/etcd/etcd.ts";
import { EtcdStore, type EtcdStoreOptions } from "../../src/store/etcd-store.ts";
import { realSystem } from "../../src/system.ts";
import { type EtcdServer, startEtcd } from "../support/etcd-server.ts";
import { recordingLog } from "../support/recording-log.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

/** Nobody in particular, at one endpoint. */
export function settingOf(endpoint: string): EtcdSetting {
  return {
    endpoints: [endpoint],
    user: undefined,
    passwordFile: undefined,
    password: undefined,
    caFile: undefined,
    certFile: undefined,
    keyFile: undefined,
  };
}

export type StoreWishes = Partial<Omit<EtcdStoreOptions, "system">> & {
  /** Default: the server's own; a proxy's, say. */
  readonly endpoint?: string;
};

export interface EtcdFixture {
  readonly server: EtcdServer;
  /** A new one for each test. */
  prefix(): string;
  client(endpoint?: string): Promise<EtcdClient>;
  /** Closed with the test. */
  open(wishes?: StoreWishes): Promise<EtcdStore>;
}

/** To be called once in a file. */
export function etcdFixture(): EtcdFixture {
  let server: EtcdServer | undefined;
  let count = 0;
  beforeAll(async () => {
    server = await startEtcd();
  }, 30_000);
  afterAll(() => server?.stop());
  const running = (): EtcdServer => {
    if (server === undefined) throw new Error("etcd has not been started");
    return server;
  };
  const prefix = (): string => `/p${(count += 1)}`;
  const client = async (endpoint = running().endpoint): Promise<EtcdClient> => {
    const opened = await EtcdClient.open(settingOf(endpoint), realSystem);
    onTestFinished(() => opened.close());
    return opened;
  };
  return {
    get server() {
      return running();
    },
    prefix,
    client,
    async open({ endpoint, ...wishes } = {}) {
      const store = await EtcdStore.open({
        etcd: wishes.etcd ?? (await client(endpoint)),
        prefix: wishes.prefix ?? prefix(),
        nodeName: "n1",
        directory: temporaryDirectory(),
        log: recordingLog(),
        ...wishes,
        system: realSystem,
      });
      onTestFinished(() => store.close());
      return store;
    },
  };
}
