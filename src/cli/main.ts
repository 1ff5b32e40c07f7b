// The `crosspoint` program. Sets nothing up but the words it was given and the streams it writes to.

import { dispatch } from "./commander.ts";
import { allCommands } from "./commands.ts";
import { complete } from "./completion.ts";
import { endQuietlyWithoutReader, surroundings } from "./surroundings.ts";

const commands = allCommands(async (config) => {
  const { serve } = await import("../main.ts");
  // What is left open when a node has ended must not keep the process.
  process.exit(await serve(config));
});
const [first, separator, ...words] = process.argv.slice(2);

endQuietlyWithoutReader();
// What the scripts of `crosspoint completion` ask; not for people, so not in the table.
if (first === "complete" && separator === "--") await complete(commands, words, process.env);
else process.exitCode = await dispatch(commands, process.argv.slice(2), surroundings());
