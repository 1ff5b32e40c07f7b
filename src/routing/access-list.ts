// Who may come to a route, by IP address.
//
// Knows ranges. Does not know how an address was found out (worker/client-ip.ts).

import { CidrSet } from "../model/cidr.ts";
import type { IpWords } from "../model/ip-address.ts";
import type { Access } from "../model/route-options.ts";

export class AccessList {
  readonly #allow: CidrSet;
  readonly #deny: CidrSet;
  readonly #isForAll: boolean;

  constructor({ allow, deny }: Access) {
    this.#allow = CidrSet.parse(allow, "access.allow");
    this.#deny = CidrSet.parse(deny, "access.deny");
    this.#isForAll = allow.length === 0;
  }

  /**
   * Denied ranges come first; with allowed ones nobody else may come.
   *
   * @param known Whether it is the client's own address, and not that of somebody on the way: only then it is
   * one that is allowed.
   */
  admits(words: IpWords, known: boolean): boolean {
    if (this.#deny.containsIp(words)) return false;
    return this.#isForAll || (known && this.#allow.containsIp(words));
  }
}
