// Goal: TLS with and without client certificates works, and each wrong file or port says which one it is.
// Method: an etcd with certificates of our own CA; the same client with one thing wrong at a time.

import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { EtcdClient } from "../../src/etcd/client.ts";
import type { EtcdSetting } from "../../src/etcd/etcd.ts";
import { realSystem } from "../../src/system.ts";
import { type Certificates, makeCertificates } from "../support/etcd-certificates.ts";
import { failureOf, openClient, put, settingOf, WatchRecord } from "../support/etcd-client.ts";
import { type EtcdServer, startEtcd } from "../support/etcd-server.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { until } from "../support/until.ts";

let files: Certificates;
/** Asks for client certificates. */
let mutual: EtcdServer;
/** Shows a certificate for another name. */
let strange: EtcdServer;
let plain: EtcdServer;

beforeAll(async () => {
  files = makeCertificates();
  const { caFile, certFile, keyFile } = files;
  [mutual, strange, plain] = await Promise.all([
    startEtcd({ tls: { caFile, certFile, keyFile, clients: true } }),
    startEtcd({
      tls: {
        caFile,
        certFile: files.strangeCertFile,
        keyFile: files.strangeKeyFile,
        clients: false,
      },
    }),
    startEtcd(),
  ]);
  return async () => {
    await Promise.all([mutual.stop(), strange.stop(), plain.stop()]);
    files.remove();
  };
});

const named = (server: EtcdServer): string => server.endpoint.replace("127.0.0.1", "localhost");
const full = (): Partial<EtcdSetting> => ({
  caFile: files.caFile,
  certFile: files.certFile,
  keyFile: files.keyFile,
});

test("a client with the right files reads, writes, renews leases and watches, by name and by address", async () => {
  for (const endpoint of [named(mutual), mutual.endpoint]) {
    const etcd = await openClient(endpoint, full());
    const { header } = await put(etcd, "k", endpoint);
    expect((await etcd.range({ key: "k" })).kvs[0]?.text).toBe(endpoint);
    const { lease } = await etcd.grantLease(9);
    expect(await etcd.keepLeaseAlive(lease)).toBe(9);
    const watch = new WatchRecord(etcd, { key: "k", startRevision: header.revision });
    await until(() => watch.events.length === 1, "the event");
  }
});

describe("a client is told", () => {
  const wrong: readonly {
    readonly what: string;
    readonly setting: () => EtcdSetting;
    readonly says: RegExp;
  }[] = [
    {
      what: "that etcd wants a client certificate",
      setting: () => settingOf(named(mutual), { caFile: files.caFile }),
      says: /wants a client certificate that its CA signed .*--etcd-cert and --etcd-key/,
    },
    {
      what: "that the CA is another one",
      setting: () => settingOf(named(mutual), { ...full(), caFile: files.otherCaFile }),
      says: /shows a certificate that is not trusted .*give its CA as --etcd-ca/,
    },
    {
      what: "that no CA it knows signed etcd's certificate",
      setting: () => settingOf(named(mutual)),
      says: /shows a certificate that is not trusted .*give its CA as --etcd-ca/,
    },
    {
      what: "that the certificate is for another name",
      setting: () => settingOf(named(strange), { caFile: files.caFile }),
      says: /shows a certificate for another name .*connect by a name that is in it/,
    },
    {
      what: "that a port it calls in plain text speaks TLS",
      setting: () => settingOf(mutual.endpoint.replace("https:", "http:")),
      says: /closes the connection at once: if it speaks TLS, write https:/,
    },
    {
      what: "that a port it calls by TLS does not speak it",
      setting: () => settingOf(plain.endpoint.replace("http:", "https:"), full()),
      says: /does not speak TLS: write http:/,
    },
  ];

  test.for(wrong)("$what", async ({ setting, says }) => {
    const etcd = await EtcdClient.open(setting(), realSystem);
    onTestFinished(() => etcd.close());
    let error = await failureOf(etcd.range({ key: "k" }));
    // A port that speaks something else closes on what it did not read: its reset may overtake its words.
    for (let left = 5; left > 0 && error.message.includes("ECONNRESET"); left--) {
      error = await failureOf(etcd.range({ key: "k" }));
    }
    expect([error.code, error.details.reason]).toEqual(["store-unavailable", "ETCD_UNREACHABLE"]);
    expect(error.message).toMatch(says);
    // No frames of OpenSSL or grpc-js around the words.
    expect(error.message).not.toMatch(/rec_layer|Resolution note|\n/);
  });
});

describe("a client does not open", () => {
  const wrong: readonly {
    readonly what: string;
    readonly setting: () => Partial<EtcdSetting>;
    readonly field: string;
    readonly says: RegExp;
  }[] = [
    {
      what: "without its CA",
      setting: () => ({ caFile: "/nowhere/ca.crt" }),
      field: "etcd-ca",
      says: /\/nowhere\/ca\.crt cannot be read \(ENOENT\)/,
    },
    {
      what: "with a CA that is none",
      setting: () => ({ caFile: files.file("text", "hello") }),
      field: "etcd-ca",
      says: /text holds no certificate in PEM form/,
    },
    {
      what: "without its certificate",
      setting: () => ({ ...full(), certFile: "/nowhere/c.crt" }),
      field: "etcd-cert",
      says: /\/nowhere\/c\.crt cannot be read/,
    },
    {
      what: "with a directory as key",
      setting: () => ({ ...full(), keyFile: "/" }),
      field: "etcd-key",
      says: /\/ cannot be read \(EISDIR\)/,
    },
    {
      what: "with a certificate as key",
      setting: () => ({ ...full(), keyFile: files.certFile }),
      field: "etcd-key",
      says: /holds no private key/,
    },
    {
      what: "with the key of another certificate",
      setting: () => ({ ...full(), keyFile: files.strangeKeyFile }),
      field: "etcd-key",
      says: /is not the key of the certificate in/,
    },
    {
      what: "with a certificate alone",
      setting: () => ({ certFile: files.certFile }),
      field: "etcd-cert",
      says: /--etcd-key/,
    },
    {
      what: "with a key alone",
      setting: () => ({ keyFile: files.keyFile }),
      field: "etcd-key",
      says: /--etcd-cert/,
    },
    {
      what: "without its password file",
      setting: () => ({ user: "u", passwordFile: "/nowhere/password" }),
      field: "etcd-password-file",
      says: /cannot be read \(ENOENT\)/,
    },
    {
      what: "with an empty password file",
      setting: () => ({ user: "u", passwordFile: files.file("empty", "\n") }),
      field: "etcd-password-file",
      says: /is empty/,
    },
    {
      what: "with a password file of several lines",
      setting: () => ({ user: "u", passwordFile: files.file("lines", "secret\nmore\n") }),
      field: "etcd-password-file",
      says: /has several lines/,
    },
  ];

  test.for(wrong)("$what", async ({ setting, field, says }) => {
    const error = await failureOf(
      EtcdClient.open(settingOf("https://localhost:2379", setting()), realSystem),
    );
    expect(error.code).toBe("invalid-argument");
    expect(error.details.violations?.map((violation) => violation.field)).toEqual([field]);
    expect(error.message).toMatch(says);
    expect(error.message).not.toContain("secret");
  });
});

test("TLS through splits at any byte carries a watch and calls", async () => {
  const proxy = await startFaultProxy({ port: mutual.port });
  onTestFinished(() => proxy.close());
  proxy.split(11, 40);
  const etcd = await openClient(`https://localhost:${proxy.port}`, full());
  const { header } = await put(etcd, "k", "x".repeat(5_000));
  const watch = new WatchRecord(etcd, { key: "k", startRevision: header.revision });
  await until(() => watch.events.length === 1, "the event");
});
