// Goal: every request has an id: the client's if it is a good one, else a UUID that is not given twice.

import { expect, test } from "vitest";
import { ByteWriter } from "../../src/worker/byte-writer.ts";
import { isRequestId, RequestIds } from "../../src/worker/request-ids.ts";

const kept = (text: string): boolean => {
  const bytes = Buffer.from(`#${text}#`, "latin1");
  return isRequestId(bytes, 1, bytes.length - 1);
};

test("a client's id is kept from 20 to 200 characters of the alphabet", () => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-";
  expect(kept(alphabet)).toBe(true);
  for (const length of [0, 1, 19, 201, 10_000]) expect(kept("a".repeat(length))).toBe(false);
  for (const length of [20, 200]) expect(kept("a".repeat(length))).toBe(true);
  for (let code = 0; code < 256; code++) {
    const character = String.fromCharCode(code);
    expect(kept("a".repeat(20) + character)).toBe(alphabet.includes(character));
  }
});

test("ids of ours are UUIDs of version 4, all different, also beyond one draw of random bytes", () => {
  const ids = new RequestIds();
  const seen = new Set<string>();
  for (let i = 0; i < 2_000; i++) {
    const writer = new ByteWriter(36);
    ids.write(writer);
    const id = Buffer.from(writer.bytes.subarray(0, writer.length)).toString("latin1");
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(Buffer.from(ids.last).toString("latin1")).toBe(id);
    seen.add(id);
  }
  expect(seen.size).toBe(2_000);
});
