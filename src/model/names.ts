// The names that users choose: of routes, services, domains, paths, labels. Parse, don't validate:
// each type here can only be made by its parser.
//
// Every parser throws RouterError "invalid-argument" naming `field`, the proto path of what was wrong.

import { type Branded, minted } from "./brand.ts";
import { invalidField } from "./errors.ts";

/** A route's key in the store: lower-case DNS label, 1 to 63 characters (RFC 1123 section 2.1). */
export type RouteName = Branded<string, "RouteName">;
/** A service's key: 1 to 128 characters of `[A-Za-z0-9._-]`, a letter or digit at both ends. */
export type ServiceName = Branded<string, "ServiceName">;
/** "app.example.com", "*.example.com" or "*": lower case, A-labels, no trailing dot. */
export type Domain = Branded<string, "Domain">;
/** "/" or "/a/b": starts with a slash, ends with none (but for "/" itself). */
export type PathPrefix = Branded<string, "PathPrefix">;
/** "/" or "/a/b" or "/a/b/": a whole path as it is sent. */
export type ExactPath = Branded<string, "ExactPath">;

export type Labels = Readonly<Record<string, string>>;

/** RFC 1035 section 2.3.4: 255 octets on the wire are 253 characters of text. */
export const domainCharactersMax = 253;
/** Generous for a prefix; a request line may hold 8 KiB. */
const pathPrefixCharactersMax = 1024;
const labelsMax = 32;
const labelValueCharactersMax = 256;

const routeNamePattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const serviceNamePattern = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/;
const domainLabelPattern = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
// Printable ASCII that may stand in a path (RFC 3986 section 3.3, plus what browsers send bare).
const pathPattern = /^\/[!$-.0-;=@-Z_a-z~%/|[\]]*$/;
const labelKeyPattern = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;

const shown = (text: string): string =>
  JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);

export function parseRouteName(text: string, field = "name"): RouteName {
  if (!routeNamePattern.test(text)) {
    throw invalidField(
      field,
      `${shown(text)} is not a route name: 1 to 63 of a-z, 0-9 and "-", a letter or digit at both ends`,
    );
  }
  return minted<RouteName>(text);
}

export function parseServiceName(text: string, field = "service"): ServiceName {
  if (text === "") throw invalidField(field, "is required: the service that answers");
  if (!serviceNamePattern.test(text)) {
    throw invalidField(
      field,
      `${shown(text)} is not a service name: 1 to 128 of A-Z, a-z, 0-9, ".", "_" and "-", a letter or digit at both ends`,
    );
  }
  return minted<ServiceName>(text);
}

/** Lower-cases, drops one trailing dot, then checks every label. */
export function parseDomain(text: string, field = "domain"): Domain {
  if (text === "") throw invalidField(field, 'is required: a host name, "*.example.com" or "*"');
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 127) {
      throw invalidField(
        field,
        `${shown(text)} holds characters beyond ASCII: write its A-labels (xn--...)`,
      );
    }
  }
  const lower = text.toLowerCase();
  const domain = lower.endsWith(".") ? lower.slice(0, -1) : lower;
  if (domain === "*") return minted<Domain>(domain);
  if (domain.length > domainCharactersMax) {
    throw invalidField(
      field,
      `is ${domain.length} characters long; a domain has at most ${domainCharactersMax}`,
    );
  }
  const labels = (domain.startsWith("*.") ? domain.slice(2) : domain).split(".");
  for (const label of labels) {
    if (domainLabelPattern.test(label)) continue;
    const why =
      label === ""
        ? "has an empty label"
        : `has the label ${shown(label)}, which is not a DNS label`;
    throw invalidField(field, `${shown(text)} ${why} (1 to 63 of a-z, 0-9, "-", "_"; no port)`);
  }
  return minted<Domain>(domain);
}

/** Empty means "/"; trailing slashes are dropped, so "/api/" and "/api" are one prefix. */
export function parsePathPrefix(text: string, field = "path_prefix"): PathPrefix {
  if (text === "" || text === "/") return minted<PathPrefix>("/");
  if (text.length > pathPrefixCharactersMax) {
    throw invalidField(
      field,
      `is ${text.length} characters long; at most ${pathPrefixCharactersMax} are allowed`,
    );
  }
  if (!pathPattern.test(text)) {
    throw invalidField(
      field,
      `${shown(text)} is not a path: it starts with "/" and holds printable ASCII without spaces and any of ? # " < > \\ ^ \` { }`,
    );
  }
  const prefix = text.replace(/\/+$/, "");
  return minted<PathPrefix>(prefix === "" ? "/" : prefix);
}

/** As `parsePathPrefix`, but a slash at the end stays, and something is required. */
export function parseExactPath(text: string, field = "path"): ExactPath {
  if (text === "") throw invalidField(field, 'is required: a path that starts with "/"');
  parsePathPrefix(text, field);
  return minted<ExactPath>(text);
}

export function parseLabels(labels: Readonly<Record<string, string>>, field = "labels"): Labels {
  const entries = Object.entries(labels);
  if (entries.length > labelsMax) {
    throw invalidField(field, `has ${entries.length} entries; at most ${labelsMax} are allowed`);
  }
  for (const [key, value] of entries) {
    if (!labelKeyPattern.test(key)) {
      throw invalidField(
        field,
        `key ${shown(key)} is not 1 to 63 of A-Z, a-z, 0-9, ".", "_", "/", "-"`,
      );
    }
    if (value.length > labelValueCharactersMax) {
      throw invalidField(
        field,
        `the value of ${shown(key)} is ${value.length} characters long; at most ${labelValueCharactersMax} are allowed`,
      );
    }
  }
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** 1 to 65535. */
export function parsePort(value: number, field = "port"): number {
  if (!Number.isInteger(value) || value < 1 || value > 65_535) {
    throw invalidField(field, `${value} is not a port (1 to 65535)`);
  }
  return value;
}
