// Goal: our element of Forwarded can be read by RFC 7239 whatever the address and the host are.

import { expect, test } from "vitest";
import { ByteWriter } from "../../src/worker/byte-writer.ts";
import { forwardedStart, writeForwarded } from "../../src/worker/forwarded.ts";

function line(address: string, host: string): string {
  const writer = new ByteWriter(16);
  const bytes = Buffer.from(`x${host}x`, "latin1");
  writeForwarded(writer, forwardedStart(address), bytes, 1, 1 + host.length);
  return Buffer.from(writer.bytes.subarray(0, writer.length)).toString("latin1");
}

test.for([
  ["192.0.2.7", "a.test", "Forwarded: for=192.0.2.7;proto=http;host=a.test\r\n"],
  ["192.0.2.7", "a.test:8080", 'Forwarded: for=192.0.2.7;proto=http;host="a.test:8080"\r\n'],
  ["2001:db8::1", "[::1]:80", 'Forwarded: for="[2001:db8::1]";proto=http;host="[::1]:80"\r\n'],
  ["fe80::1%eth0", "a_b", 'Forwarded: for="[fe80::1]";proto=http;host=a_b\r\n'],
  ["192.0.2.7", "", "Forwarded: for=192.0.2.7;proto=http\r\n"],
  ["", "a", "Forwarded: for=unknown;proto=http;host=a\r\n"],
] as const)("%s asking for %j", ([address, host, expected]) => {
  expect(line(address, host)).toBe(expected);
});
