// Where a redirect leads, and what a backend is asked for instead: URLs and paths as text.
//
// Knows: what a Redirect and a Rewrite mean for one request. Does not know how they are sent. Nothing is
// decoded or merged, as with matching: what was sent behind the route's own prefix stays as it was.

import type { ExactPath, PathPrefix } from "../model/names.ts";
import type { Redirect } from "../model/route-options.ts";

/** The path that a route is for; an HttpMatch fits, and a CompiledRoute. */
export interface MatchedPath {
  readonly pathPrefix: PathPrefix;
  /** This path alone; `pathPrefix` is "/" then. */
  readonly exactPath?: ExactPath | undefined;
}

/** The URL that a request asked for. */
export interface AskedUrl {
  readonly scheme: "http" | "https";
  /** Without port, "[::1]" in its brackets, as sent; "": the request named none (HTTP/1.0). */
  readonly host: string;
  /** As sent; undefined: none, so that of the scheme. */
  readonly port: number | undefined;
  /** As sent, without query; "*" for that of OPTIONS. */
  readonly path: string;
  /** With its "?"; "": there is none. */
  readonly query: string;
}

/**
 * Where the client is to go; undefined when that is where it is: then the route's service answers. "" when
 * neither the redirect nor the request names a host, so that there is no such place (400).
 */
export function redirectTarget(
  redirect: Redirect,
  match: MatchedPath,
  asked: AskedUrl,
): string | undefined {
  const scheme = redirect.scheme ?? asked.scheme;
  const host = redirect.host ?? asked.host;
  if (host === "") return "";
  const stays = scheme === asked.scheme && sameHost(host, asked.host);
  const port = redirect.port ?? (stays ? asked.port : undefined) ?? portOf(scheme);
  const path = redirectedPath(redirect, match, asked.path, sameHost(host, asked.host));
  if (stays && path === asked.path && port === (asked.port ?? portOf(asked.scheme))) {
    return undefined;
  }
  const authority = port === portOf(scheme) ? host : `${host}:${port}`;
  // The "*" of OPTIONS asks about the server: its URL has no path (RFC 9112 section 3.3).
  return `${scheme}://${authority}${path === "*" ? "" : path}${asked.query}`;
}

/**
 * `path` with `instead` in place of the prefix that the route matches, or all of it for an exact path: of
 * "/old", "/new" makes "/old/x" "/new/x"; "/" takes the prefix away. "*" stays: it is no path.
 */
export function replacedPrefix(
  instead: PathPrefix,
  { pathPrefix, exactPath }: MatchedPath,
  path: string,
): string {
  if (path === "*") return path;
  if (exactPath !== undefined) return instead;
  const rest = pathPrefix === "/" ? path : path.slice(pathPrefix.length);
  // A rest begins with a slash of its own, or is empty.
  if (instead === "/") return rest === "" ? "/" : rest;
  return `${instead}${rest}`;
}

function redirectedPath(
  { path: whole, pathPrefix: instead }: Redirect,
  match: MatchedPath,
  path: string,
  hostStays: boolean,
): string {
  if (whole !== undefined) return whole;
  if (instead === undefined) return path;
  // A prefix that holds what replaces it ("/" and "/new") would be replaced again and again.
  const again = hostStays && match.exactPath === undefined && covers(match.pathPrefix, instead);
  return again && covers(instead, path) ? path : replacedPrefix(instead, match, path);
}

/** Whether `path` is `prefix` or below it, in whole segments. */
function covers(prefix: PathPrefix, path: string): boolean {
  if (prefix === "/") return path.startsWith("/");
  return path.startsWith(prefix) && (path.length === prefix.length || path[prefix.length] === "/");
}

function portOf(scheme: "http" | "https"): number {
  return scheme === "http" ? 80 : 443;
}

/** Case and a trailing dot do not count, as in matching. */
function sameHost(a: string, b: string): boolean {
  return bare(a) === bare(b);
}

function bare(host: string): string {
  return host.toLowerCase().replace(/\.$/, "");
}
