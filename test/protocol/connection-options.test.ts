// Goal: Connection drops exactly the unknown fields that it names.
// Method: names that share a slot (31 * "a" + "~" is 31 * "b" + "_"); one instance for all; compared
// with sets.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { ConnectionOptions } from "../../src/protocol/connection-options.ts";
import { HeadFields } from "../../src/protocol/head-fields.ts";
import { poisoned, textOf } from "./octets-of.ts";

const fieldsMax = 64;
const name = fc.string({ unit: fc.constantFrom("a~", "A~", "b_"), minLength: 1, maxLength: 3 });

test("named fields are dropped, all others stay, head after head", () => {
  const options = new ConnectionOptions(fieldsMax);
  const fields = new HeadFields(fieldsMax);
  const names = fc.array(name, { maxLength: fieldsMax - 1 });
  fc.assert(
    fc.property(names, fc.array(name, { maxLength: 30 }), (present, named) => {
      const lines = present.map((field) => `${field}: x\r\n`).join("");
      const text = `${lines}Connection: ${named.join(" ,")}\r\n\r\n`;
      const bytes = poisoned(text);
      expect(fields.read(bytes, 0, text.length)).toBe(text.length);
      options.reset();
      options.read(bytes, fields, present.length);
      const unwanted = new Set(named.map((field) => field.toLowerCase()));
      for (let index = 0; index < present.length; index++) {
        const field = textOf(bytes, fields.nameStart[index]!, fields.nameEnd[index]!).toLowerCase();
        expect(fields.dropped[index], field).toBe(unwanted.has(field) ? 1 : 0);
      }
    }),
    { numRuns: 300 },
  );
});
