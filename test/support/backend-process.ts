// A backend in a process of its own, by SideProcess: `large` or `streaming`. Its first message is its address.

import { startLargeBackend } from "./large-backend.ts";
import { serveParent } from "./side-process.ts";
import { startStreamingBackend } from "./streaming-backend.ts";

const start = process.argv[2] === "large" ? startLargeBackend : startStreamingBackend;
serveParent((await start()).address);
