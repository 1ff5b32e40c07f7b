// Goal: two services are the same when nothing a user can set differs.

import { expect, test } from "vitest";
import { parseServiceName } from "../../src/model/names.ts";
import { Policy, ProxyProtocol, type Service, sameService } from "../../src/model/service.ts";

const web: Service = { name: parseServiceName("web"), policy: Policy.Random };

test.for<[string, Service, boolean]>([
  ["the same settings", { ...web }, true],
  ["another name", { ...web, name: parseServiceName("db") }, false],
  ["another policy", { ...web, policy: Policy.RoundRobin }, false],
  ["a PROXY protocol", { ...web, proxyProtocol: ProxyProtocol.V1 }, false],
  ["no policy", { ...web, policy: undefined }, false],
])("%s", ([, other, isSame]) => {
  expect(sameService(web, other)).toBe(isSame);
  expect(sameService(other, web)).toBe(isSame);
});
