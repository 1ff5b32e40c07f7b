// Certificates for an etcd that speaks TLS, made by openssl in a directory that goes with the test.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Certificates {
  /** Signed `server` and `client`. */
  readonly caFile: string;
  /** Signed nothing here. */
  readonly otherCaFile: string;
  /** For 127.0.0.1 and localhost, as server and as client. */
  readonly certFile: string;
  readonly keyFile: string;
  /** For another.internal only. */
  readonly strangeCertFile: string;
  readonly strangeKeyFile: string;
  /** A file in the same directory. */
  file(name: string, text: string): string;
  remove(): void;
}

export function makeCertificates(): Certificates {
  const directory = mkdtempSync(join(tmpdir(), "crosspoint-certificates-"));
  const at = (name: string): string => join(directory, name);
  const openssl = (...words: readonly string[]): void =>
    void execFileSync("openssl", words, { stdio: ["ignore", "ignore", "pipe"] });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  for (const ca of ["ca", "other"]) {
    const files = ["-keyout", at(`${ca}.key`), "-out", at(`${ca}.crt`)];
    openssl("req", "-x509", ...key, ...files, "-days", "2", "-subj", `/CN=${ca}`);
  }
  const sign = (name: string, names: string): void => {
    const request = ["-keyout", at(`${name}.key`), "-out", at(`${name}.csr`)];
    openssl("req", ...key, ...request, "-subj", `/CN=${name}`);
    writeFileSync(at(`${name}.ext`), `subjectAltName=${names}`);
    const by = ["-CA", at("ca.crt"), "-CAkey", at("ca.key"), "-CAcreateserial"];
    const out = ["-days", "2", "-extfile", at(`${name}.ext`), "-out", at(`${name}.crt`)];
    openssl("x509", "-req", "-in", at(`${name}.csr`), ...by, ...out);
  };
  sign("node", "IP:127.0.0.1,DNS:localhost");
  sign("strange", "DNS:another.internal");
  return {
    caFile: at("ca.crt"),
    otherCaFile: at("other.crt"),
    certFile: at("node.crt"),
    keyFile: at("node.key"),
    strangeCertFile: at("strange.crt"),
    strangeKeyFile: at("strange.key"),
    file: (name, text) => {
      writeFileSync(at(name), text);
      return at(name);
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
