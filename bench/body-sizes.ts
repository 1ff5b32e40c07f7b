// What do bodies cost, down and up? 1 KB is mostly heads, 1 MB mostly copies.

import { bodies, uploadPath } from "./support/bodies.ts";
import { type Comparison, compare, type Variant } from "./support/compare.ts";
import { bulkContenders } from "./support/proxies.ts";
import type { Question } from "./support/question.ts";

const sizes = [
  ["1 KB", "/1k", 64],
  ["64 KB", "/64k", 32],
  ["1 MB", "/1m", 8],
] as const;

const answers = sizes.map(([size, path, connections]): Variant => {
  const bytes = bodies[path] ?? Number.NaN;
  return { name: `answers of ${size}`, path, connections, bytes };
});
const uploads = sizes.map(([size, path, connections]): Variant => {
  const bytes = bodies[path] ?? Number.NaN;
  return { name: `uploads of ${size}`, path: uploadPath, connections, bytes, uploadBytes: bytes };
});

const comparison: Comparison = {
  name: "body-sizes",
  question: "What do bodies cost, down and up?",
  method:
    "Keep-alive connections: 64 for bodies of 1 KB (1,024 bytes), 32 for 64 KB, 8 for 1 MB; GET, or POST answered with 100 bytes; 1,000 routes. GB count the bodies once. HAProxy with its buffers of 16 KiB, and once more with `option splice-auto`; nginx with buffers of 64 KiB, no temporary files, uploads not held back.",
  mode: "http",
  routes: 1000,
  contenders: bulkContenders,
  variants: [...answers, ...uploads],
};

export const bodySizes: Question = {
  name: comparison.name,
  run: (effort) => compare(comparison, effort),
};
