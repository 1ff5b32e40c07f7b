// The sticky cookie `_backend`: the address of a backend, sealed so that clients can neither read
// nor choose it. AES-256-GCM with a random nonce (NIST SP 800-38D): nonce, sealed text, tag, in base64url.
//
// A cookie of the key before is opened too, so that sessions outlive a change of keys. No more than two are tried.

import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import type { StickyKeys } from "../channel/messages.ts";

export const stickyCookieName = "_backend";
const nonceBytes = 12;
const tagBytes = 16;
/** A sealed 253-character name with port and service; what is longer is not ours. */
const cookieCharactersMax = 640;

export class StickyCookie {
  #keys: StickyKeys;

  constructor(keys: StickyKeys) {
    this.#keys = keys;
  }

  replaceKeys(keys: StickyKeys): void {
    this.#keys = keys;
  }

  /** Binds the address to the service, so that a cookie of one service says nothing to another. */
  seal(service: string, address: string): string {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv("aes-256-gcm", this.#keys.current, nonce);
    cipher.setAAD(Buffer.from(service));
    return Buffer.concat([
      nonce,
      cipher.update(address, "utf8"),
      cipher.final(),
      cipher.getAuthTag(),
    ]).toString("base64url");
  }

  /** The address, or undefined when the value is not one of ours. */
  open(service: string, value: string): string | undefined {
    if (value.length > cookieCharactersMax) return undefined;
    const sealed = Buffer.from(value, "base64url");
    if (sealed.length <= nonceBytes + tagBytes) return undefined;
    const { current, previous } = this.#keys;
    return opened(current, service, sealed) ?? (previous && opened(previous, service, sealed));
  }
}

function opened(key: Uint8Array, service: string, sealed: Buffer): string | undefined {
  const nonce = sealed.subarray(0, nonceBytes);
  const options = { authTagLength: tagBytes };
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, options);
  decipher.setAAD(Buffer.from(service));
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
  try {
    const text = decipher.update(sealed.subarray(nonceBytes, -tagBytes));
    return Buffer.concat([text, decipher.final()]).toString("utf8");
  } catch {
    return undefined; // another key, or tampered with: as if there were no cookie
  }
}

/** Every value of `_backend` in a Cookie field (RFC 6265 section 4.2.1), that of the longest path first. */
export function stickyValuesOf(cookieField: string): string[] {
  const values: string[] = [];
  for (const pair of cookieField.split(";")) {
    const equals = pair.indexOf("=");
    if (equals > 0 && pair.slice(0, equals).trim() === stickyCookieName) {
      values.push(pair.slice(equals + 1).trim());
    }
  }
  return values;
}

/**
 * The field that sets it. Its path is the route's own, so that routes of one host do not overwrite each other's;
 * a path that a cookie cannot name (";") makes it the host's. Gone with the browser's session.
 */
export function stickyField(value: string, path: string): string {
  return `Set-Cookie: ${stickyCookieName}=${value}; Path=${path.includes(";") ? "/" : path}; HttpOnly\r\n`;
}
