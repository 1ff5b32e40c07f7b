// Goal: the sample backends say who they are and what the router told them, and leave nothing behind.

import { expect, test } from "vitest";
import { startDemoBackends } from "../src/demo.ts";

test("two backends answer, each with its name, the path and what was forwarded", async () => {
  const backends = await startDemoBackends();
  try {
    expect(new Set(backends.addresses).size).toBe(2);
    const texts = await Promise.all(
      backends.addresses.map(async (address) => {
        const headers = {
          "X-Forwarded-For": "192.0.2.7",
          "X-Request-Id": "abc",
          Cookie: "secret=1",
        };
        return (await fetch(`http://${address}/some/path?x=1`, { headers })).text();
      }),
    );
    expect(texts[0]).toMatch(
      /^Hello from sample backend one: GET \/some\/path\?x=1 for 127\.0\.0\.1:\d+\n/,
    );
    expect(texts[1]).toMatch(/^Hello from sample backend two: /);
    for (const text of texts) {
      expect(text).toContain("  x-forwarded-for: 192.0.2.7\n  x-request-id: abc\n");
      expect(text).not.toContain("secret");
    }
  } finally {
    await backends.close();
  }
  await expect(fetch(`http://${backends.addresses[0]}/`)).rejects.toThrow("fetch failed");
});
