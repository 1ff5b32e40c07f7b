// Who we are to an etcd, and by whom we know it: the files of a setting, read and checked before the first call,
// so that a wrong path is said at the start and not as a connection that fails for ever.
//
// Knows: PEM files, a password file. Does not know: connections.

import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { getCACertificates } from "node:tls";
import { invalidField, RouterError } from "../model/errors.ts";
import type { EtcdSetting } from "./etcd.ts";

export interface Identity {
  readonly login: { readonly user: string; readonly password: string } | undefined;
  /** PEM, for endpoints that begin with https. */
  readonly authority: Buffer;
  readonly certificate: { readonly chain: Buffer; readonly key: Buffer } | undefined;
}

/**
 * Reads what the setting names. Rejects with "invalid-argument" naming the setting and the file when one is
 * missing, unreadable or not what it should be.
 */
export async function readIdentity(setting: EtcdSetting): Promise<Identity> {
  const { endpoints } = setting;
  if (endpoints.length === 0) throw invalidField("etcd", "names no endpoint");
  for (const endpoint of endpoints) requireEndpoint(endpoint);
  return {
    login: await readLogin(setting),
    authority: await readAuthority(setting.caFile),
    certificate: await readCertificate(setting),
  };
}

function requireEndpoint(endpoint: string): void {
  if (/^https?:\/\/(?:\[[0-9a-f:.%]+\]|[^\s/:@[\]]+):\d{1,5}$/i.test(endpoint)) return;
  // Not repeated: it may hold a password.
  throw invalidField(
    "etcd",
    "has an endpoint that is not like http://HOST:PORT or https://HOST:PORT",
  );
}

async function readLogin({
  user,
  password,
  passwordFile,
}: EtcdSetting): Promise<Identity["login"]> {
  if (user === undefined) return undefined;
  if (passwordFile === undefined) {
    if (password === undefined || password === "") {
      throw invalidField("etcd-user", `names user ${JSON.stringify(user)} without a password`);
    }
    return { user, password };
  }
  const text = (await read("etcd-password-file", passwordFile)).toString("utf8");
  // An editor ends the line.
  const line = text.replace(/\r?\n$/, "");
  if (line === "") throw wrongFile("etcd-password-file", passwordFile, "is empty");
  if (/[\r\n]/.test(line)) {
    throw wrongFile("etcd-password-file", passwordFile, "has several lines: the password alone");
  }
  return { user, password: line };
}

async function readAuthority(caFile: string | undefined): Promise<Buffer> {
  // What Node trusts for everybody, with NODE_EXTRA_CA_CERTS.
  if (caFile === undefined) return Buffer.from(getCACertificates("default").join("\n"));
  const pem = await read("etcd-ca", caFile);
  certificateIn("etcd-ca", caFile, pem);
  return pem;
}

async function readCertificate({
  certFile,
  keyFile,
}: EtcdSetting): Promise<Identity["certificate"]> {
  if (certFile === undefined && keyFile === undefined) return undefined;
  if (keyFile === undefined) throw invalidField("etcd-cert", "needs the key as well: --etcd-key");
  if (certFile === undefined) throw invalidField("etcd-key", "needs the certificate: --etcd-cert");
  const [chain, key] = await Promise.all([read("etcd-cert", certFile), read("etcd-key", keyFile)]);
  const certificate = certificateIn("etcd-cert", certFile, chain);
  const privateKey = parsed(() => createPrivateKey(key));
  if (privateKey === undefined) {
    throw wrongFile("etcd-key", keyFile, "holds no private key in PEM form without a passphrase");
  }
  if (!certificate.checkPrivateKey(privateKey)) {
    throw wrongFile("etcd-key", keyFile, `is not the key of the certificate in ${certFile}`);
  }
  return { chain, key };
}

function certificateIn(field: string, file: string, pem: Buffer): X509Certificate {
  const certificate = parsed(() => new X509Certificate(pem));
  if (certificate !== undefined && pem.includes("-----BEGIN ")) return certificate;
  throw wrongFile(field, file, "holds no certificate in PEM form");
}

async function read(field: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw wrongFile(field, file, `cannot be read (${code})`);
  }
}

function wrongFile(field: string, file: string, what: string): RouterError {
  return invalidField(field, `the file ${file} ${what}`);
}

function parsed<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}
