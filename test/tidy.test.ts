// The house rules that linters do not know, as data: who may import whom, where a package may be used,
// how long a file may be, which words are not used. Read it as the architecture.

import { describe, expect, test } from "vitest";
import { writtenTables } from "../bench/support/readme-table.ts";
import { filesUnder, root, type SourceFile } from "./support/source-tree.ts";

/** Folder (or file) in src/ -> what it may import beside itself. An entry with a slash or a dot is one file. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  // The ground: no sockets, no clocks, no randomness.
  model: [],
  protocol: [],
  routing: ["model", "limits.ts"],
  // The ports of input and output; adapters import the ports.
  io: [],
  channel: ["model", "limits.ts"],
  // An etcd, followed: knows keys and values, not what they mean.
  etcd: ["model", "limits.ts", "system.ts"],
  store: ["model", "etcd", "limits.ts", "system.ts"],
  discovery: ["model", "etcd", "limits.ts", "system.ts"],
  telemetry: ["model", "limits.ts", "system.ts"],
  // Traffic flows while the store or the gRPC server is down: no store, no control, no gen.
  worker: ["model", "protocol", "routing", "channel", "io", "telemetry", "limits.ts", "system.ts"],
  // Asks backends how they are, in a thread of its own.
  health: [
    "model",
    "protocol",
    "channel",
    "io",
    "limits.ts",
    "system.ts",
    // The same adapters as a worker's.
    "worker/open-io.ts",
  ],
  // Meets the workers in channel/ and lends them sockets; never imports them.
  control: [
    "model",
    "store",
    "discovery",
    "channel",
    "telemetry",
    "gen",
    "io/ffi.ts",
    "io/io.ts",
    "io/sockets.ts",
    "limits.ts",
    "system.ts",
  ],
  // A client of the API like any other.
  cli: [
    "gen",
    "model",
    "config.ts",
    "config-etcd.ts",
    "config-values.ts",
    "nearest.ts",
    "yaml.ts",
    "version.ts",
    "limits.ts",
    "system.ts",
  ],
  gen: [],
  // Two backends to try the router with.
  "demo.ts": ["model", "limits.ts"],
  "demo-route.ts": ["demo.ts", "control/router-service.ts", "gen", "limits.ts", "system.ts"],
  "forward-route.ts": ["config.ts", "control/router-service.ts", "gen"],
  "node-io.ts": ["io/choose-io.ts", "model", "telemetry"],
  "node-output.ts": ["telemetry"],
  "node-departure.ts": ["control", "limits.ts", "store", "system.ts", "telemetry"],
  "node-pages.ts": ["model", "config-values.ts"],
  "version.ts": [],
  "limits.ts": ["model/errors.ts", "limits-balancing.ts"],
  "limits-balancing.ts": [],
  "system.ts": [],
  "nearest.ts": [],
  "yaml.ts": ["model"],
  "config-option.ts": ["model"],
  "config-etcd.ts": ["model", "etcd/etcd.ts"],
  "config-file.ts": ["model", "nearest.ts", "yaml.ts"],
  "config-host.ts": [],
  "config-limits.ts": ["model", "config-option.ts", "config-values.ts", "limits.ts", "nearest.ts"],
  "config-values.ts": ["model", "etcd/etcd.ts", "config-etcd.ts", "limits.ts", "nearest.ts"],
  "config.ts": [
    "model",
    "etcd/etcd.ts",
    "limits.ts",
    "config-etcd.ts",
    "config-file.ts",
    "config-host.ts",
    "config-limits.ts",
    "config-option.ts",
    "config-values.ts",
  ],
};

/** The composition root: the only file that knows everything. Nobody imports it but the command, for `serve`. */
const knowsEverything = "src/main.ts";
const startsEverything = "src/cli/main.ts";

/** Files of one kind, told apart by the pattern's group, never import each other. */
const siblings: readonly RegExp[] = [
  /^src\/store\/(memory|sqlite|etcd)[-/]/,
  // The drivers know their port, which lies beside those who use it.
  /^src\/io\/(net|uring|epoll|direct(?!\/driver\.ts))\//,
  /^src\/routing\/(least-loaded|random|round-robin|peak-ewma|ring-hash)\.ts$/,
  /^src\/worker\/([a-z]+)-session\.ts$/,
];

/** Package -> the only files that may import it. A folder ends in "/". Generated code is not asked. */
const packageHomes: Readonly<Record<string, readonly string[]>> = {
  "@bomb.sh/tab": ["src/cli/completion.ts"],
  "@bufbuild/protobuf": [
    "src/cli/json-fault.ts",
    "src/cli/proto-json.ts",
    "src/control/reflection.ts",
  ],
  "@grpc/grpc-js": ["src/cli/", "src/control/grpc-server.ts", "src/etcd/client-call.ts"],
  cockatiel: ["src/etcd/client-connection.ts"],
  commander: ["src/cli/"],
  etcd3: ["src/etcd/client-connection.ts"],
  "grpc-health-check": ["src/control/grpc-server.ts"],
  koffi: ["src/io/ffi.ts"],
  pino: ["src/telemetry/log.ts"],
  piscina: ["src/control/fleet.ts"],
  yaml: ["src/yaml.ts"],
  zod: ["src/config-file.ts"],
};

const fileLinesMax = 400;

/** Spelled so that this file does not hold them itself. */
const bannedWords = /\b(?:FIX[M]E|TO[D]O|XX[X])\b/;
const bannedNames = /^(?:utils?|common|helpers?|core|lib|types?|managers?|misc)$/;
/** Where only one machine could find something. */
const machinePaths = /(?<![\w.~-])\/(?:wor[k]|roo[t]|hom[e]\/[a-z]+|User[s])\//;

/** Clocks and randomness are handed in. */
const systemCalls =
  /\b(?:Date\.now|Math\.random|performance\.now|setTimeout|setInterval)\(|\bnew Date\(\)/;

const sources = filesUnder("src", ".ts", ".cjs").filter(isWritten);
const typescript = [...sources, ...filesUnder("test", ".ts"), ...filesUnder("bench", ".ts")];

function isWritten(file: SourceFile): boolean {
  return !file.path.startsWith("src/gen/");
}

/** "src/model/route.ts" -> "model"; "src/limits.ts" -> "limits.ts". */
function ownerOf(path: string): string {
  return path.split("/")[1] ?? "";
}

function isHome(path: string, home: string): boolean {
  return home.endsWith("/") ? path.startsWith(home) : path === home;
}

describe("imports", () => {
  test.for(Object.entries(mayImport))("%s imports no more than it may", ([owner, allowed]) => {
    const wrong = sources
      .filter((file) => ownerOf(file.path) === owner)
      .flatMap((file) =>
        file.imports
          .filter((one) => one.path?.startsWith("src/") === true)
          .filter((one) => one.path !== knowsEverything)
          .map((one) => (one.path ?? "").slice("src/".length))
          .filter((path) => path.split("/")[0] !== owner)
          .filter(
            (path) => !allowed.some((entry) => path === entry || path.startsWith(`${entry}/`)),
          )
          .map((path) => `${file.path} imports ${path}`),
      );
    expect(wrong).toEqual([]);
  });

  test("every file of src/ has a line in the table", () => {
    const missing = sources
      .filter((file) => file.path !== knowsEverything)
      .filter((file) => mayImport[ownerOf(file.path)] === undefined);
    expect(missing.map((file) => file.path)).toEqual([]);
  });

  test("src/ imports nothing from test/, bench/ or examples/, and main.ts is started only by the command", () => {
    const wrong = sources.flatMap((file) =>
      file.imports
        .filter((one) => one.path !== undefined)
        .filter((one) => !one.path?.startsWith("src/") || one.path === knowsEverything)
        .filter((one) => one.path !== knowsEverything || file.path !== startsEverything)
        .filter((one) => !one.specifier.endsWith("package.json"))
        .map((one) => `${file.path} imports ${one.specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  test.for(siblings)("siblings do not know each other: %s", (pattern) => {
    const wrong = sources.flatMap((file) => {
      const self = pattern.exec(file.path)?.[1];
      if (self === undefined) return [];
      return file.imports
        .filter((one) => ![undefined, self].includes(pattern.exec(one.path ?? "")?.[1]))
        .map((one) => `${file.path} imports ${one.specifier}`);
    });
    expect(wrong).toEqual([]);
  });

  test("a package is imported only where it is at home", () => {
    const wrong = sources.flatMap((file) =>
      file.imports
        .filter(({ packageName }) => packageName !== undefined)
        .filter(
          ({ packageName = "" }) =>
            !(packageHomes[packageName] ?? []).some((home) => isHome(file.path, home)),
        )
        .map(({ specifier }) => `${file.path} imports ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  test("only system.ts asks for the time, a timer or randomness", () => {
    const wrong = sources
      .filter((file) => file.path !== "src/system.ts")
      .flatMap((file) =>
        linesWith(file, systemCalls).filter((line) => !/\.setTimeout\(/.test(line)),
      );
    expect(wrong).toEqual([]);
  });
});

describe("files", () => {
  test(`have at most ${fileLinesMax} lines`, () => {
    const long = typescript.filter((file) => file.lines.length - 1 > fileLinesMax);
    expect(long.map((file) => `${file.path}: ${file.lines.length - 1}`)).toEqual([]);
  });

  test("say first what they are for", () => {
    const silent = typescript.filter((file) => !/^(?:#!.*\n)?\/\/ \S/.test(file.text));
    expect(silent.map((file) => file.path)).toEqual([]);
  });

  test("are named for what they hold", () => {
    const vague = typescript.filter((file) =>
      namesIn(file.path).some((part) => bannedNames.test(part)),
    );
    expect(vague.map((file) => file.path)).toEqual([]);
  });

  test("hold no promises to do something later, and no path of one machine", () => {
    const all = [
      ...typescript,
      ...filesUnder(".", ".md", ".json", ".yaml", ".proto", ".cjs", "run"),
    ];
    const written = all.filter((file) => isWritten(file) && file.path !== "package-lock.json");
    expect(written.length).toBeGreaterThan(50);
    expect(written.flatMap((file) => linesWith(file, bannedWords))).toEqual([]);
    expect(written.flatMap((file) => linesWith(file, machinePaths))).toEqual([]);
  });

  test("export by name, but for the worker's task (piscina asks for a default)", () => {
    const wrong = sources
      .filter((file) => file.path !== "src/worker/main.ts")
      .flatMap((file) => linesWith(file, /^export default\b/));
    expect(wrong).toEqual([]);
  });

  test("test/ mirrors src/: every folder of tests is a folder of the source, or named here", () => {
    const own = [
      "bench",
      "support",
      "transcripts",
      "scenarios",
      "simulation",
      "integration",
      "soak",
    ];
    const folders = new Set(
      filesUnder("test", ".ts").flatMap(({ path }) =>
        path.split("/").length > 2 ? [ownerOf(path)] : [],
      ),
    );
    const strange = [...folders].filter(
      (folder) => !own.includes(folder) && mayImport[folder] === undefined,
    );
    expect(strange).toEqual([]);
  });
});

describe("the limits of limits.ts", () => {
  const files = sources.filter(({ path }) => /^src\/limits(?:-balancing)?\.ts$/.test(path));
  const names = [
    ...files
      .map(({ text }) => text)
      .join("\n")
      .matchAll(/^export const (\w+)/gm),
  ].map((match) => match[1] ?? "");

  test("are there", () => {
    expect(names.length).toBeGreaterThan(20);
  });

  test("are each explained above their line", () => {
    const lines = files.flatMap((file) => file.lines);
    const bare = names.filter((name) => {
      const at = lines.findIndex((line) => line.startsWith(`export const ${name} `));
      return !(lines[at - 1] ?? "").endsWith("*/");
    });
    expect(bare).toEqual([]);
  });

  test("are each used", () => {
    const unused = names.filter((name) => {
      const use = new RegExp(`\\b${name}\\b`);
      const isUse = (line: string): boolean =>
        use.test(line) && !line.startsWith(`export const ${name} `);
      return !sources.some((file) => file.lines.some(isUse));
    });
    expect(unused).toEqual([]);
  });
});

describe("documents", () => {
  const documents = filesUnder(".", ".md");
  const named = (path: string): SourceFile | undefined =>
    documents.find((file) => file.path === path);

  test("decisions are numbered and dated", () => {
    const decisions = documents.filter((file) => file.path.startsWith("docs/decisions/"));
    for (const { path, lines } of decisions) {
      expect(path).toMatch(/\/\d{4}-[a-z0-9-]+\.md$/);
      expect(lines.slice(0, 6).join("\n"), path).toMatch(/\b20\d\d-[01]\d-[0-3]\d\b/);
    }
  });

  test("CHANGELOG.md has an Unreleased section, and in every section only known kinds of change", () => {
    const lines = named("CHANGELOG.md")?.lines ?? [];
    const headings = lines.filter((line) => line.startsWith("## "));
    expect(headings[0]).toMatch(/^## \[?Unreleased\]?$/);
    for (const heading of headings.slice(1)) {
      expect(heading).toMatch(/^## \[?\d+\.\d+\.\d+\]? - 20\d\d-[01]\d-[0-3]\d$/);
    }
    const kinds = lines.filter((line) => line.startsWith("### "));
    for (const kind of kinds) {
      expect(kind).toMatch(/^### (?:Added|Changed|Deprecated|Removed|Fixed|Security)$/);
    }
  });

  test("README.md shows the measurements of bench/results and no others", () => {
    const readme = named("README.md")?.text ?? "";
    expect(readme).toBe(writtenTables(readme, `${root}/bench/results`));
  });
});

/** "src/model/route.ts" -> src, model, route. */
function namesIn(path: string): string[] {
  return path.replace(/\.[^/]*$/, "").split("/");
}

/** "path:12: the line" for every line that matches. */
function linesWith(file: SourceFile, pattern: RegExp): string[] {
  return file.lines.flatMap((line, index) =>
    pattern.test(line) ? [`${file.path}:${index + 1}: ${line.trim()}`] : [],
  );
}
