// Where a redirect leads, as it is typed and shown: "https", "https://www.example.com", "/new/*".

import type { Redirect } from "../gen/crosspoint/v1/router.ts";
import { usageError } from "./failure.ts";

/** Where to; the status is said elsewhere. */
export type RedirectPlace = Omit<Redirect, "status">;

/**
 * `[SCHEME://][HOST][:PORT][/PATH]`, or a scheme alone. What is left out stays as it was asked for; a path that ends
 * in "/*" is put in place of the route's own, and what follows that is kept. Throws "invalid-argument".
 */
export function parseRedirectWord(text: string): RedirectPlace {
  if (text === "http" || text === "https") return place({ scheme: text });
  const whole = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(\[[^\]/]*\]|[^:/?#]*)(?::(\d{1,5}))?(\/[^?#]*)?$/i;
  const [found, scheme = "", host = "", port = "0", path = ""] = whole.exec(text) ?? [];
  if (found === undefined || found === "" || path.startsWith("//") || Number(port) > 65_535) {
    throw wrong(text, /[?#]/.test(text) ? "; the query that was asked for is kept" : "");
  }
  return place({ scheme: scheme.toLowerCase(), host, port: Number(port), ...pathOf(path, text) });
}

function pathOf(path: string, text: string): Partial<RedirectPlace> {
  if (path.endsWith("/*")) return { pathPrefix: path.slice(0, -2) || "/" };
  if (path.endsWith("*")) throw wrong(text, '; a star stands behind a slash: "/new/*"');
  return { path };
}

const place = (parts: Partial<RedirectPlace>): RedirectPlace => ({
  scheme: "",
  host: "",
  port: 0,
  path: "",
  pathPrefix: "",
  ...parts,
});

function wrong(text: string, hint: string): Error {
  return usageError(
    `--redirect: ${JSON.stringify(text)} is not a place; write https, https://HOST, https://HOST/PATH, /PATH or /PREFIX/*${hint}`,
  );
}

/** As it is typed. */
export function redirectText({ scheme, host, port, path, pathPrefix }: RedirectPlace): string {
  const below = pathPrefix === "" ? path : `${pathPrefix === "/" ? "" : pathPrefix}/*`;
  const authority = `${host}${port === 0 ? "" : `:${port}`}`;
  if (scheme === "") return `${authority}${below}`;
  return authority === "" && below === "" ? scheme : `${scheme}://${authority}${below}`;
}
