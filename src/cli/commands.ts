// Every command of the program, in the order of --help.

import type { Config } from "../config.ts";
import type { Command } from "./command.ts";
import { apply, exportTable } from "./commands/apply.ts";
import { backendAdd, backendRemove } from "./commands/backend.ts";
import { backendList } from "./commands/backend-list.ts";
import { completion } from "./commands/completion.ts";
import { explain } from "./commands/explain.ts";
import { forwardCommand } from "./commands/forward.ts";
import { nodeList } from "./commands/node.ts";
import { nodeDrain } from "./commands/node-drain.ts";
import { routeAdd, routeGet, routeList, routeRemove } from "./commands/route.ts";
import { serveCommand } from "./commands/serve.ts";
import { servicePut, serviceRemove } from "./commands/service.ts";
import { serviceList } from "./commands/service-list.ts";
import { servicePause, serviceResume } from "./commands/service-pause.ts";
import { storeAccept, storeStatus } from "./commands/store.ts";
import { watch } from "./commands/watch.ts";

export function allCommands(serve: (config: Config) => Promise<number>): readonly Command[] {
  return [
    serveCommand(serve),
    forwardCommand(serve),
    routeAdd,
    routeList,
    routeGet,
    routeRemove,
    servicePut,
    serviceList,
    serviceRemove,
    servicePause,
    serviceResume,
    backendAdd,
    backendList,
    backendRemove,
    nodeList,
    nodeDrain,
    storeStatus,
    storeAccept,
    apply,
    exportTable,
    watch,
    explain,
    completion,
  ];
}
