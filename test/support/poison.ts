// Values that nobody should write into a store, and that somebody will: one kind after the other, by a seed.

import { services } from "./cluster-world.ts";
import type { SeededRandom } from "./seeded-random.ts";

export interface Poison {
  /** Below the prefix; one character for each byte. */
  readonly key: string;
  readonly value: Buffer;
}

const route = (fields: object): string => JSON.stringify({ service: services[1], ...fields });

/** Each over a good route ("good-N") or under a new name. */
const badRoutes: readonly ((name: string) => string | Buffer)[] = [
  () => "",
  () => "null",
  () => "[]",
  () => "42",
  () => '"web"',
  () => "{",
  () => '{"http":{"domain":"a.example.com"},"service":"http-b"',
  () => "not JSON at all",
  () => Buffer.from([0xff, 0xfe, 0x00, 0x7b]),
  () => `\ufeff${route({ http: { domain: "bom.example.com" } })}`,
  () => route({}),
  () => route({ http: {} }),
  () => route({ http: { domain: "" } }),
  () => route({ http: { domain: "nul\u0000.example.com" } }),
  () => route({ http: { domain: ".".repeat(300) } }),
  () => route({ http: { domain: 7 } }),
  () => route({ http: { domain: "x.example.com", pathPrefix: "no-slash" } }),
  () => route({ http: { domain: "x.example.com", regex: "(a+)+$" } }),
  () => route({ http: { domain: "x.example.com" }, tcp: { port: 80 } }),
  () => route({ tcp: { port: 0 } }),
  () => route({ tcp: { port: 65_536 } }),
  () => route({ tcp: { port: -1 } }),
  () => route({ tcp: { port: 1.5 } }),
  () => `{"tcp":{"port":1e400},"service":"http-b"}`,
  () => JSON.stringify({ http: { domain: "x.example.com" } }),
  () => JSON.stringify({ http: { domain: "x.example.com" }, service: "" }),
  () => JSON.stringify({ http: { domain: "x.example.com" }, service: "../../etc" }),
  () => JSON.stringify({ http: { domain: "x.example.com" }, service: ["http-b"] }),
  () => `{"__proto__":{"polluted":true},"http":{"domain":"p.example.com"},"service":"http-b"}`,
  () => `{"constructor":{"prototype":{}},"http":{"domain":"p.example.com"},"service":"http-b"}`,
  () => route({ http: { domain: "x.example.com" }, name: "another-name" }),
  () => route({ http: { domain: "x.example.com" }, sticky: "yes" }),
  () => route({ http: { domain: "x.example.com" }, labels: { a: 1 } }),
  () => route({ http: { domain: "x.example.com" }, labels: [] }),
  () => route({ http: { domain: "x.example.com" }, fromTheFuture: { yes: true } }),
  () => `${"[".repeat(50_000)}${"]".repeat(50_000)}`,
  () => route({ http: { domain: "x.example.com" }, labels: { big: "x".repeat(1_400_000) } }),
  // The match of another route, taken by hand.
  (name) => route({ http: { domain: `${name === "good-1" ? "good-2" : "good-1"}.example.com` } }),
];

const badBackends: readonly string[] = [
  "null",
  "{",
  '{"weight":0.5}',
  '{"weight":1001}',
  '{"weight":"heavy"}',
  '{"service":"another"}',
  '{"address":"10.0.0.1:1"}',
  '{"ttl":"soon"}',
];

const strangeKeys: readonly string[] = [
  "routes/",
  "routes/UPPER",
  "routes/a/b",
  "routes/-dash",
  `routes/${"x".repeat(64)}`,
  "routes/\u0000",
  "routes/\u00ff\u00fe",
  "routes/with space",
  "services/",
  "services/no/slash",
  "services/-",
  "backends/",
  "backends/web",
  "backends/web/",
  "backends/web/not-an-address",
  "backends/web/10.0.0.1:0",
  "backends/web/10.0.0.1:99999",
  "backends/a/b/10.0.0.1:80",
  "nothing-we-know/x",
];

/** The `n`th bad value: most over or beside good routes, some under strange keys, one of 10 MB now and then. */
export function poisonValue(random: SeededRandom, n: number, goodRoutes: number): Poison {
  if (n % 100 === 99) {
    return { key: `routes/huge-${n}`, value: Buffer.alloc(10_000_000, "x") };
  }
  const kind = random.next();
  if (kind < 0.15) {
    const key = strangeKeys[n % strangeKeys.length]!;
    return { key, value: Buffer.from(route({ http: { domain: `strange-${n}.example.com` } })) };
  }
  if (kind < 0.3) {
    const value = badBackends[n % badBackends.length]!;
    return { key: `backends/http-b/10.9.8.7:${1 + n}`, value: Buffer.from(value) };
  }
  const name = random.chance(0.5) ? `good-${Math.floor(random.next() * goodRoutes)}` : `bad-${n}`;
  const value = badRoutes[n % badRoutes.length]!(name);
  return { key: `routes/${name}`, value: typeof value === "string" ? Buffer.from(value) : value };
}
