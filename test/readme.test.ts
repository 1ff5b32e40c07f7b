// Goal: what the documents say is so. Commands in them run or at least exist, links lead somewhere, tables say
// what the source says.
// Method: every Markdown file of ours is read; the first two minutes of README.md are typed into a real node.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import packageJson from "../package.json" with { type: "json" };
import { dispatched, start } from "./cli/program.ts";
import { documents, withTables } from "./support/document-tables.ts";
import { filesUnder, root } from "./support/source-tree.ts";
import { mainFile, shellBlocks, startDemo, type } from "./support/typed-document.ts";

const all = documents();
const named = (path: string): string => readFileSync(join(root, path), "utf8");

test("the documents are there", () => {
  const paths = all.map(({ path }) => path);
  for (const name of ["README", "CONTRIBUTING", "CHANGELOG", "SECURITY"]) {
    expect(paths).toContain(`${name}.md`);
  }
  for (const name of ["ARCHITECTURE", "OPERATING", "API", "OUT_OF_SCOPE", "LIFE_OF_A_ROUTE"]) {
    expect(paths).toContain(`docs/${name}.md`);
  }
});

test("their tables are what the source says: node test/support/document-tables.ts writes them", () => {
  for (const { path, text: markdown } of all) expect(markdown, path).toBe(withTables(markdown));
});

test("the settings, the limits, the exit statuses and the fields of the log are told once each", () => {
  const told = all.flatMap(({ text: markdown }) =>
    [...markdown.matchAll(/<!-- table:([a-z-]+) -->/g)].map(([, name = ""]) => name),
  );
  expect(told.toSorted()).toEqual([
    "access-log",
    "exit-statuses",
    "limits",
    "settable-limits",
    "settings",
  ]);
});

describe("links and paths", () => {
  test("every link leads to what is there", () => {
    const broken = all.flatMap(({ path, text: markdown }) =>
      [...markdown.matchAll(/\]\(([^)\s]+)\)/g)]
        .map(([, target = ""]) => target)
        .filter((target) => !/^https?:/.test(target))
        .filter((target) => !leads(path, target))
        .map((target) => `${path}: ${target}`),
    );
    expect(broken).toEqual([]);
  });

  test("every file that is named is there", () => {
    const pattern = /(?<![\w/.-])(?:src|test|bench|docs|examples|proto)\/[\w./-]*[\w/]/g;
    const missing = all.flatMap(({ path, text: markdown }) =>
      [...markdown.matchAll(pattern)]
        .map(([found]) => found)
        .filter((found) => !/NNNN|NAME|bench\/results/.test(found))
        .filter((found) => !existsSync(join(root, found)))
        .map((found) => `${path}: ${found}`),
    );
    expect(missing).toEqual([]);
  });

  test("every folder of src/ has its line in ARCHITECTURE.md", () => {
    const architecture = named("docs/ARCHITECTURE.md");
    const folders = readdirSync(join(root, "src"), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
    expect(folders.filter((name) => !architecture.includes(`| \`src/${name}/\` |`))).toEqual([]);
  });
});

describe("commands", () => {
  test("every command and flag of `crosspoint` is one that its help knows", async () => {
    const wrong: string[] = [];
    const told = all.flatMap(({ text: markdown }) => crosspointCommands(markdown));
    expect(told.length).toBeGreaterThan(15);
    for (const words of told) {
      const depth = /^(?:route|service|backend|node|store)$/.test(words[0] ?? "") ? 2 : 1;
      const path = words.slice(0, depth).filter((word) => /^[a-z]/.test(word));
      const { stdout } = await dispatched([...path, "--help"]);
      const known = (flag: string): boolean =>
        new RegExp(`(?<![\\w-])${flag}(?![\\w-])`).test(stdout);
      const flags = words.flatMap((word) => /^--?[a-z][a-z-]*/.exec(word)?.[0] ?? []);
      // Asked for a command that is not there, the program shows its own help.
      if (!stdout.startsWith(["Usage: crosspoint", ...path].join(" "))) wrong.push(words.join(" "));
      wrong.push(...flags.filter((flag) => !known(flag)).map((flag) => [...path, flag].join(" ")));
    }
    expect(wrong).toEqual([]);
  });

  test("the settings of every node that a document starts are understood", async () => {
    const starts = /^(?:npx crosspoint serve|\S*node src\/main\.ts) (--.*)$/gm;
    const told = all
      .flatMap(({ path }) => shellBlocks(path))
      .flatMap((block) => [...block.replaceAll("\\\n", "").matchAll(starts)])
      .map(([, flags = ""]) => flags.split(/\s+/));
    expect(told.length).toBeGreaterThan(3);
    for (const flags of told) {
      const judged = await dispatched(["serve", ...flags]);
      expect({ flags, ...judged }).toEqual({ flags, status: 0, stdout: "", stderr: "" });
    }
  });

  test("every npm script is there", () => {
    const told = all.flatMap(({ text: markdown }) => [
      ...markdown.matchAll(/\bnpm (?:run )?(start|test|(?<=run )[a-z]+)\b/g),
    ]);
    expect(told.length).toBeGreaterThan(5);
    const missing = told
      .map(([, name = ""]) => name)
      .filter((name) => !Object.hasOwn(packageJson.scripts, name));
    expect(missing).toEqual([]);
  });

  test("every benchmark whose table README.md shows is a question of bench/", () => {
    const names = [...named("README.md").matchAll(/<!-- bench:([a-z-]+) -->/g)].map(
      ([, name]) => name,
    );
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => !existsSync(join(root, `bench/${name}.ts`)))).toEqual([]);
  });
});

describe("lists of the API and of answers", () => {
  const sources = filesUnder("src", ".ts").filter(({ path }) => !path.startsWith("src/gen/"));
  const words = (pattern: RegExp, folder: string): string[] =>
    sources
      .filter(({ path }) => path.startsWith(folder))
      .flatMap(({ text: source }) => [...source.matchAll(pattern)].map(([, word = ""]) => word));

  test("API.md names every reason that an error may carry, and no other", () => {
    const given = [
      ...words(/\breason: "([A-Z_]+)"/g, "src/"),
      ...words(/\brefuse\(\s*"([A-Z_]+)"/g, "src/control/"),
      ...words(/"(STORE_[A-Z_]+)"/g, "src/store/"),
    ];
    const table = /\| reason \| code \|\n[^]*?\n\n/.exec(named("docs/API.md"))?.[0] ?? "";
    const told = [...table.matchAll(/`([A-Z_]+)`/g)].map(([, word = ""]) => word);
    expect(told.toSorted()).toEqual([...new Set(given)].toSorted());
  });

  test("LIFE_OF_A_REQUEST.md names every reason for which the router answers by itself", () => {
    const answer = /(?:#answer|\bfail|#refuse)\(\s*\d+,\s*"([a-z-]+)"/g;
    const given = new Set([
      ...words(answer, "src/worker/"),
      ...words(/\breason: "([a-z-]+)"/g, "src/worker/own-answer"),
      ...words(/\breason: "([a-z-]+)"/g, "src/worker/admission"),
      ...words(/\bnobodyLeft\("([a-z-]+)"/g, "src/worker/"),
      ...words(/[=|] "([a-z-]+)"/g, "src/worker/waiting-line"),
      "request-malformed",
      "backend-malformed",
    ]);
    const table =
      /\| reason \| status [^]*?\n\n/.exec(named("docs/LIFE_OF_A_REQUEST.md"))?.[0] ?? "";
    const told = [...table.matchAll(/^\| `([a-z-]+)`/gm)].map(([, word = ""]) => word);
    expect(told.toSorted()).toEqual([...given].toSorted());
  });

  test("API.md and CHANGELOG.md know the contract's calls and this version", () => {
    const calls = [...named("proto/crosspoint/v1/router.proto").matchAll(/^ {2}rpc (\w+)/gm)];
    const changelog = named("CHANGELOG.md");
    expect(calls.length).toBeGreaterThan(10);
    expect(calls.filter(([, call = ""]) => !changelog.includes(call))).toEqual([]);
    expect(changelog).toContain(`## ${packageJson.version} - `);
  });
});

describe("typed into a real node", { timeout: 60_000 }, () => {
  test("the first two minutes of README.md", async () => {
    const [first = "", ...others] = shellBlocks(
      "README.md",
      "Sixty seconds",
      "A second minute",
    ).flatMap((block) => block.split("\n").filter(Boolean));
    expect(first).toBe("npm start -- --demo");
    const node = await startDemo();
    const shown: string[] = [];
    for (const line of others) shown.push(await type(line, node));
    const [demo, , route, backend, hello, explained, list, watched] = shown;
    expect(demo).toMatch(/^Hello from sample backend (?:one|two): GET \/ for demo\.localhost/);
    expect(route).toContain("hello.localhost -> hello");
    expect(backend).toContain("hello -> 127.0.0.1:");
    expect(hello).toBe("hello\n");
    expect(explained).toMatch(/^route hello-localhost -> service hello -> backend 127\.0\.0\.1:/m);
    expect(list).toMatch(/^hello-localhost +hello\.localhost +hello/m);
    expect(watched).toMatch(/\+ route hello-localhost {2}hello\.localhost -> hello/);
    expect(shown).toHaveLength(8);
    const again = await type("curl http://demo.localhost:8080", node);
    const samples = [demo, again].map((answer) => /backend (\w+)/.exec(answer ?? "")?.[1] ?? "");
    expect(samples.toSorted()).toEqual(["one", "two"]);
  });

  test("the calls of API.md, and the paths of the admin port", async () => {
    const node = await startDemo();
    const commands = shellBlocks("docs/API.md")
      .join("")
      .replaceAll("\\\n", "")
      .split("\n")
      .filter(Boolean);
    expect(commands.length).toBeGreaterThan(3);
    const answers: string[] = [];
    for (const command of commands) answers.push(await type(command, node));
    const [methods, added, registered, explained, health] = answers;
    expect(methods).toContain("crosspoint.v1.RouterService/AddRoute\n");
    expect(JSON.parse(added ?? "")).toMatchObject({ route: { name: "app-example-com" } });
    expect(JSON.parse(registered ?? "")).toHaveProperty("revision");
    expect(JSON.parse(explained ?? "")).toMatchObject({ backend: "10.0.0.7:8080" });
    expect(JSON.parse(health ?? "")).toEqual({ status: "SERVING" });
    const paths = [...named("docs/OPERATING.md").matchAll(/^\| `(\/[a-z]+)` \|/gm)];
    expect(paths).toHaveLength(5);
    for (const [, path = ""] of paths) {
      expect((await fetch(`http://${node.admin}${path}`)).status, path).toBe(200);
    }
  });

  test("what OPERATING.md says about the end of a node", async () => {
    const node = await startDemo();
    node.running.kill("SIGTERM");
    const { status, signal, stderr } = await node.running.ended;
    expect({ status, signal }).toEqual({ status: 0, signal: null });
    expect(stderr).toContain('"cut":0');
    const wrong = await start(["--drian", "1s"], { script: mainFile }).ended;
    expect(wrong.status).toBe(2);
  });
});

function leads(from: string, target: string): boolean {
  const [file = "", anchor] = target.split("#", 2);
  const path = file === "" ? from : join(dirname(from), file);
  if (!existsSync(join(root, path))) return false;
  return anchor === undefined || anchorsOf(named(path)).includes(anchor);
}

/** As a reader of Markdown makes them of headings. */
function anchorsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w -]/g, "")
      .replaceAll(" ", "-"),
  );
}

/** The words behind `crosspoint` wherever a document shows a command: in a block, or in backticks. */
function crosspointCommands(markdown: string): string[][] {
  const blocks = [...markdown.matchAll(/^ *```(?:sh|console|text)?\n([^]*?)^ *```$/gm)];
  const indented = [...markdown.matchAll(/^ {4}(\S.*)$/gm)].map(([, line = ""]) => line);
  const lines = [...blocks.flatMap(([, block = ""]) => block.split("\n")), ...indented];
  const inline = [...markdown.replaceAll(/^```[^]*?^```$/gm, "").matchAll(/`([^`\n]+)`/g)];
  return [...lines, ...inline.map(([, code = ""]) => code)]
    .map((line) => /^\s*(?:\$ )?(?:npx )?crosspoint ([a-z-][^#|>]*)/.exec(line)?.[1] ?? "")
    .filter((command) => command !== "")
    .map((command) => command.trim().split(/\s+/));
}
