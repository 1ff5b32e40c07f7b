// Reads `crosspoint watch --json` and prints the routed domains whenever they changed. Runs on Node 20 and newer.
"use strict";

const { createInterface } = require("node:readline");

/** Route name -> domain. */
const domains = new Map();
let printed = "";

createInterface({ input: process.stdin }).on("line", (line) => {
  const event = JSON.parse(line);
  if (event.routePut?.http) domains.set(event.routePut.name, event.routePut.http.domain);
  if (event.routePut?.tcp) domains.delete(event.routePut.name);
  if (event.routeRemoved) domains.delete(event.routeRemoved);
  // A bookmark follows the events of each revision: until then a change is only half told.
  if (!event.bookmark) return;
  const now = [...new Set(domains.values())].toSorted((a, b) => a.localeCompare(b)).join(" ");
  if (now !== printed) console.log(`${event.revision}: ${now}`);
  printed = now;
});
