// Another process with an SQLite store, for sqlite-*.test.ts: node store-child.ts hold|fill PATH
//
// hold: opens the store, says so, and waits to be killed.
// fill: under a limit on the size of files, writes more and more until it is refused, then goes on small.
//       Prints one JSON object: what was acknowledged, what was refused and how, what is served at the end.

import { RouterError } from "../../src/model/errors.ts";
import { SqliteStore } from "../../src/store/sqlite-store.ts";
import type { Store } from "../../src/store/store.ts";
import { realSystem } from "../../src/system.ts";
import { put, putRoute, removeRoute } from "./samples.ts";

const [mode, path = ""] = process.argv.slice(2);
try {
  const store = await SqliteStore.open({ path, system: realSystem });
  if (mode === "hold") {
    console.log("open");
    setInterval(() => {}, 60_000);
  } else {
    console.log(JSON.stringify(await fill(store)));
    await store.close();
  }
} catch (thrown) {
  console.log(JSON.stringify(RouterError.from(thrown)));
  process.exitCode = 1;
}

async function fill(store: Store) {
  const acknowledged: string[] = [];
  const refused: unknown[] = [];
  for (let size = 1; size <= 16_384; size *= 2) {
    const names = Array.from({ length: size }, (_, i) => `r-${size}-${i}`);
    try {
      await put(store, ...names.map((name) => putRoute(name)));
      acknowledged.push(...names);
    } catch (thrown) {
      refused.push(RouterError.from(thrown));
    }
  }
  const [first] = acknowledged.splice(0, 1);
  if (first !== undefined) await put(store, removeRoute(first), putRoute("last"));
  const { routes } = await store.read();
  return {
    acknowledged: [...acknowledged, "last"],
    refused,
    served: routes.map(({ name }) => name),
  };
}
