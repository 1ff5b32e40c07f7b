// Goal: what a request said of itself is in the line as it was said, however long and hostile it was.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { accessLogFieldBytesMax } from "../../src/limits.ts";
import { AccessField, fieldsOf } from "../../src/telemetry/access-fields.ts";
import { KeptFields } from "../../src/telemetry/kept-fields.ts";

const read = (kept: KeptFields): unknown => {
  const text = Buffer.from(kept.line.bytes.subarray(0, kept.length)).toString("latin1");
  expect(text).toMatch(/^,[\x20-\x7e]*$/);
  return JSON.parse(`{${text.slice(1)}}`);
};
const bytesOf = (text: string): Uint8Array => Buffer.from(text, "latin1");

describe("KeptFields", () => {
  test("keeps any bytes, in memory that is used again for shorter and longer ones", () => {
    const kept = new KeptFields();
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 900 }),
        fc.uint8Array({ maxLength: 900 }),
        (host, path) => {
          kept.length = 0;
          kept.bytesField(AccessField.host, host, 0, host.length);
          kept.ready(fieldsOf({ protocol: "http/1.1" }));
          kept.bytesField(AccessField.path, path, 0, path.length);
          expect(read(kept)).toEqual({
            host: Buffer.from(host).toString("latin1"),
            protocol: "http/1.1",
            path: Buffer.from(path).toString("latin1"),
          });
          kept.release();
          expect(kept.line.bytes.length).toBeLessThanOrEqual(2048);
        },
      ),
    );
  });

  test.for([0x61, 0x01])("cuts a value of bytes %i off", (byte) => {
    const kept = new KeptFields();
    const long = new Uint8Array(accessLogFieldBytesMax + 5).fill(byte);
    kept.bytesField(AccessField.path, long, 2, long.length);
    expect(read(kept)).toEqual({ path: String.fromCharCode(byte).repeat(accessLogFieldBytesMax) });
    expect(kept.line.bytes.length).toBeGreaterThan(2048);
    kept.release();
    expect(kept.line.bytes.length).toBeLessThanOrEqual(2048);
  });

  test("takes later fields back, and writes others in their place", () => {
    const kept = new KeptFields();
    const method = bytesOf("GET");
    kept.bytesField(AccessField.method, method, 0, method.length);
    const { length } = kept;
    const id = new DataView(new ArrayBuffer(16));
    bytesOf("0123456789").forEach((byte, at) => id.setUint8(at, byte));
    kept.asciiField(AccessField.requestId, id, 10);
    expect(read(kept)).toEqual({ method: "GET", request_id: "0123456789" });
    kept.length = length;
    const other = bytesOf("..abc..");
    kept.bytesField(AccessField.requestId, other, 2, 5);
    expect(read(kept)).toEqual({ method: "GET", request_id: "abc" });
  });
});
