// Goal: who may come and who may not, as the API says it; Explain says the same.
// Method: a table of lists and addresses, asked of both.

import { describe, expect, test } from "vitest";
import { parseIp } from "../../src/model/ip-address.ts";
import type { Access } from "../../src/model/route-options.ts";
import { AccessList } from "../../src/routing/access-list.ts";
import { asking, backend, routeWith, tableOf } from "./changes.ts";

const cases: readonly {
  readonly access: Access;
  readonly may: readonly string[];
  readonly mayNot: readonly string[];
}[] = [
  {
    access: { allow: ["10.0.0.0/8", "2001:db8::/32"], deny: [] },
    may: ["10.0.0.1", "::ffff:10.1.2.3", "2001:db8::1"],
    mayNot: ["11.0.0.1", "::1", "2001:db9::1", "::10.0.0.1"],
  },
  {
    access: { allow: [], deny: ["10.0.0.0/8", "::/0"] },
    may: ["11.0.0.1", "255.255.255.255"],
    mayNot: ["10.255.255.255", "::1", "2001:db8::1"],
  },
  {
    access: { allow: ["10.0.0.0/8"], deny: ["10.0.7.0/24", "10.0.0.1"] },
    may: ["10.0.8.1", "10.0.0.2"],
    mayNot: ["10.0.7.7", "10.0.0.1", "192.0.2.1"],
  },
  { access: { allow: ["0.0.0.0/0"], deny: ["0.0.0.0/0"] }, may: [], mayNot: ["10.0.0.1", "::1"] },
];

describe.for(cases)("allow $access.allow, deny $access.deny", ({ access, may, mayNot }) => {
  const list = new AccessList(access);
  const table = tableOf(routeWith("r", "a.com", "web", { access }), backend("web", "10.0.0.1:80"));
  const explained = (clientAddress: string): number =>
    table.explain({ ...asking("a.com", "/"), clientAddress, kind: "http" }, () => 0).status;

  test.for([...may, ...mayNot])("%s", (address) => {
    const admitted = list.admits(parseIp(address)!, true);
    expect(admitted).toBe(may.includes(address));
    expect(explained(address)).toBe(admitted ? 0 : 403);
  });

  test("somebody unknown behind an address is in no allowed range", () => {
    for (const address of may) {
      expect(list.admits(parseIp(address)!, false)).toBe(access.allow.length === 0);
    }
    for (const address of mayNot) expect(list.admits(parseIp(address)!, false)).toBe(false);
    expect(list.admits([], false)).toBe(access.allow.length === 0);
  });
});
