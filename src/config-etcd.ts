// Settings that name an etcd: where it is, who we are to it, below which prefix.
//
// Knows: how they are written, and which of them go together. Does not know: what is kept there. It opens
// nothing, not even the files that it names. No message shows a user or a password of an address.

import type { EtcdSetting } from "./etcd/etcd.ts";
import { parseAddress } from "./model/address.ts";
import { invalidField, RouterError } from "./model/errors.ts";

/** An etcd as an address names it. */
export interface EtcdPlace {
  readonly etcd: EtcdSetting;
  /** "/services": without a slash at its end; undefined: none is named. */
  readonly prefix: string | undefined;
}

/** A value, and the flag, variable or key that it was written in. */
export interface Told<T> {
  readonly value: T;
  readonly source: string;
}

/** The settings that count for every etcd that is named. */
export interface EtcdOptions {
  readonly user: Told<string> | undefined;
  readonly passwordFile: Told<string> | undefined;
  readonly caFile: Told<string> | undefined;
  readonly certFile: Told<string> | undefined;
  readonly keyFile: Told<string> | undefined;
}

/** etcd's own port for clients. */
const portDefault = 2379;

/**
 * "etcd:http://h1:2379,h2:2379/prefix": endpoints of one cluster, then the prefix. The scheme counts for
 * those that have none, and so does `user:password@` (percent-encoded, as in any URL).
 *
 * @param written How it is written, for the message of what is not.
 */
export function parseEtcdPlace(text: string, source: string, written: string): EtcdPlace {
  // A password with a character too many may be taken for any other part.
  const quote = (part: string): string => (text.includes("@") ? "a part" : JSON.stringify(part));
  try {
    return placeOf(text.slice(text.indexOf(":") + 1), quote);
  } catch (reason) {
    const shown = JSON.stringify(withoutCredentials(text));
    throw invalidField(source, `${shown}: ${RouterError.from(reason).message}; write ${written}`);
  }
}

/** For messages: what stands between the scheme and the last "@" may be a password. */
export function withoutCredentials(text: string): string {
  return text.replace(/^((?:[a-z]+:)?(?:https?:\/\/)?).*@/is, "$1***@");
}

/** Adds `options` to each of `etcds`. Throws "invalid-argument" naming the setting that does not go with the others. */
export function withEtcdOptions(
  etcds: readonly Told<EtcdSetting>[],
  options: EtcdOptions,
): EtcdSetting[] {
  refuseWithoutEtcd(etcds, options);
  refuseCertificates(etcds, options);
  refuseCredentials(etcds, options);
  return etcds.map(({ value: etcd }) => ({
    ...etcd,
    user: options.user?.value ?? etcd.user,
    passwordFile: options.passwordFile?.value,
    ...(isSecure(etcd)
      ? {
          caFile: options.caFile?.value,
          certFile: options.certFile?.value,
          keyFile: options.keyFile?.value,
        }
      : {}),
  }));
}

interface Endpoint {
  readonly scheme: string;
  /** "user:password"; "" for none. */
  readonly credentials: string;
  readonly address: string;
  /** "/a/b", "/", or "". */
  readonly path: string;
}

type Quote = (part: string) => string;

/** Throws Error with what is wrong. */
function placeOf(list: string, quote: Quote): EtcdPlace {
  const words = list.split(",").map((word) => word.trim());
  const scheme = /^https?(?=:\/\/)/i.exec(words[0] ?? "")?.[0].toLowerCase();
  if (scheme === undefined) throw new Error("it does not begin with http:// or https://");
  const endpoints = words.map((word) => endpointOf(word, scheme, quote));
  const earlier = endpoints.slice(0, -1).find(({ path }) => path !== "" && path !== "/");
  if (earlier !== undefined) {
    throw new Error(`the prefix, ${quote(earlier.path)}, does not stand at the end`);
  }
  const credentials = new Set(endpoints.map((one) => one.credentials).filter((one) => one !== ""));
  if (credentials.size > 1) throw new Error("it names more than one user or password");
  const [given = ""] = credentials;
  return {
    etcd: {
      endpoints: [...new Set(endpoints.map(({ address }) => `${scheme}://${address}`))],
      ...credentialsOf(given),
      passwordFile: undefined,
      caFile: undefined,
      certFile: undefined,
      keyFile: undefined,
    },
    prefix: prefixOf(endpoints.at(-1)?.path ?? "", quote),
  };
}

function endpointOf(word: string, schemeOfFirst: string, quote: Quote): Endpoint {
  const match = /^(?:([^/@]*):\/\/)?(?:([^/]*)@)?([^/]*)(\/.*)?$/s.exec(word);
  const [, own = schemeOfFirst, credentials = "", host = "", path = ""] = match ?? [];
  const scheme = own.toLowerCase();
  if (scheme !== schemeOfFirst) {
    throw new Error("its endpoints are not all http:// or all https://");
  }
  if (host === "") throw new Error("an endpoint has no host");
  return { scheme, credentials, address: addressOf(host, quote), path };
}

/** "[::1]:2379", "etcd-1.internal:2379"; the port may be left out. */
function addressOf(host: string, quote: Quote): string {
  const bare = /^(?:\[[^\]]*\]|[^:]*)$/.test(host);
  try {
    return parseAddress(bare ? `${host}:${portDefault}` : host);
  } catch (cause) {
    throw new Error(`${quote(host)} is not HOST:PORT, such as etcd-1.internal:2379 or [::1]:2379`, {
      cause,
    });
  }
}

function credentialsOf(text: string): Pick<EtcdSetting, "user" | "password"> {
  const [user, password] = /^([^:]*):?(.*)$/s.exec(text)?.slice(1) ?? [];
  try {
    const decoded = [user, password].map((part = "") => decodeURIComponent(part));
    if (text !== "" && decoded[0] === "") throw new Error("no user");
    return { user: decoded[0] || undefined, password: decoded[1] || undefined };
  } catch {
    throw new Error(
      'what stands before "@" is not USER:PASSWORD, with "%", "@", "/", "," and ":" percent-encoded',
    );
  }
}

function prefixOf(path: string, quote: Quote): string | undefined {
  if (path === "") return undefined;
  if (path === "/") {
    throw new Error('the prefix "/" is all of the etcd: name one below it, or leave it out');
  }
  const prefix = path.endsWith("/") ? path.slice(0, -1) : path;
  if (!/^(?:\/[!-.0-~]+)+$/.test(prefix)) {
    throw new Error(
      `the prefix, ${quote(path)}, is not printable ASCII without spaces and empty segments`,
    );
  }
  return prefix;
}

function isSecure({ endpoints }: EtcdSetting): boolean {
  return endpoints.every((endpoint) => endpoint.startsWith("https://"));
}

function refuseWithoutEtcd(etcds: readonly unknown[], options: EtcdOptions): void {
  const { user, passwordFile, caFile, certFile, keyFile } = options;
  const given = user ?? passwordFile ?? caFile ?? certFile ?? keyFile;
  if (given !== undefined && etcds.length === 0) {
    throw invalidField(
      given.source,
      "is for an etcd, and none is named: --store etcd:http://HOST:2379, or --discover",
    );
  }
}

/** Of several etcds only those that speak TLS get the files; where none does, they were meant for one that should. */
function refuseCertificates(
  etcds: readonly Told<EtcdSetting>[],
  { caFile, certFile, keyFile }: EtcdOptions,
): void {
  if (certFile !== undefined && keyFile === undefined) {
    throw invalidField(certFile.source, "needs --etcd-key as well: the file of its private key");
  }
  if (keyFile !== undefined && certFile === undefined) {
    throw invalidField(keyFile.source, "needs --etcd-cert as well: the file of its certificate");
  }
  const given = caFile ?? certFile;
  if (given !== undefined && !etcds.some(({ value }) => isSecure(value))) {
    const plain = etcds[0]?.value.endpoints[0] ?? "";
    throw invalidField(given.source, `is for https://, and ${plain} is not`);
  }
}

function refuseCredentials(
  etcds: readonly Told<EtcdSetting>[],
  { user, passwordFile }: EtcdOptions,
): void {
  for (const { value: etcd, source } of etcds) {
    if (user !== undefined && etcd.user !== undefined) {
      throw invalidField(user.source, `the address of ${source} names a user already`);
    }
    if (passwordFile !== undefined && etcd.password !== undefined) {
      throw invalidField(passwordFile.source, `the address of ${source} has a password already`);
    }
    const userSource = user?.source ?? (etcd.user === undefined ? undefined : source);
    if (passwordFile !== undefined && userSource === undefined) {
      throw invalidField(passwordFile.source, "needs --etcd-user as well: whose password it is");
    }
    if (userSource !== undefined && passwordFile === undefined && etcd.password === undefined) {
      throw invalidField(userSource, "names a user without a password: add --etcd-password-file");
    }
  }
}
