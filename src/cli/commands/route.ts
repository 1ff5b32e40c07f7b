// crosspoint route add | list | get | remove

import {
  AddRouteRequest,
  AddRouteResponse,
  ApplyChangesRequest,
  ApplyChangesResponse,
  GetRouteResponse,
  ListRejectedEntriesResponse,
  ListRoutesResponse,
  RemoveRouteRequest,
  RemoveRouteResponse,
  type Route,
  type Wait,
} from "../../gen/crosspoint/v1/router.ts";
import { type NodeClient, withNode } from "../client.ts";
import { type Command, type Invocation, isOn, textOf, textsOf } from "../command.ts";
import { ExitStatus, renamed, usageError } from "../failure.ts";
import { pairsOf } from "../parse-words.ts";
import { optionTexts } from "../route-option-text.ts";
import { labelsText, matchText, optionsText, routeText, targetText } from "../route-text.ts";
import { routeFlags, routeOfWords } from "../route-words.ts";
import { noteLagging, printJson, waitFlag, waitOf } from "../show.ts";
import { printTable } from "../table.ts";

export const routeAdd: Command = {
  path: ["route", "add"],
  summary: "lead a domain, a path of it, or a port to a service, or elsewhere",
  arguments: [
    { name: "MATCH", help: "DOMAIN[/PATH], tcp:PORT, or tcp for any free port" },
    {
      name: "SERVICE",
      help: "who answers; left out with --split and --answer",
      optional: true,
      complete: "service",
    },
  ],
  flags: [
    { name: "name", value: "NAME", help: "the route's key (default: made from the match)" },
    ...routeFlags,
    {
      name: "replace",
      help: "replace the route of that name or match, whole; without this flag such a route is an error",
    },
    waitFlag,
  ],
  client: true,
  examples: [
    "crosspoint route add app.example.com web",
    "crosspoint route add '*.example.com/api' api --sticky --label team=shop",
    "crosspoint route add tcp:5432 postgres",
    "crosspoint route add shop.example.com --split shop=90 --split shop-next=10",
    "crosspoint route add shop.example.com shop-next --header x-canary=1",
    "crosspoint route add old.example.com --redirect https://www.example.com --redirect-status 308",
    "crosspoint route add www.example.com/shop --answer 503=closed.html --answer-header 'Retry-After: 600'",
    "crosspoint route add api.example.com api --tries 3 --retry-status 503 --per-try-timeout 2s --request-timeout 5s",
    "crosspoint route add www.example.com/admin admin --rewrite / --allow 192.0.2.0/24 --rate 10/s",
  ],
  run: ({ args, flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const route: Route = {
        ...routeOfWords(args[0] ?? "", args[1], flags),
        name: textOf(flags, "name") ?? "",
        revision: 0n,
        createTime: undefined,
        updateTime: undefined,
      };
      const wait = waitOf(textOf(flags, "wait"));
      if (isOn(flags, "replace")) return await putRoute(node, route, wait, { flags, terminal });
      const request = AddRouteRequest.fromPartial({ route, wait });
      const answer = await node.call<AddRouteResponse>((stub, ...rest) =>
        stub.addRoute(request, ...rest),
      );
      if (isOn(flags, "json")) printJson(terminal, "AddRouteResponse", AddRouteResponse, answer);
      else printStored(terminal, answer.route, answer.revision);
      return noteLagging(answer.lagging, terminal);
    }),
};

/** In place of the route of that name, or with that match; a new one where there is none. */
async function putRoute(
  node: NodeClient,
  route: Route,
  wait: Wait,
  { flags, terminal }: Pick<Invocation, "flags" | "terminal">,
): Promise<ExitStatus> {
  const changes = [{ change: { $case: "putRoute", value: route } as const }];
  const request = ApplyChangesRequest.fromPartial({ changes, wait });
  const stored = node.call<ApplyChangesResponse>((stub, ...rest) =>
    stub.applyChanges(request, ...rest),
  );
  const answer = await stored.catch((reason: unknown) => {
    throw renamed(reason, (text) => text.replaceAll("changes[0].put_route", "route"));
  });
  if (isOn(flags, "json")) {
    printJson(terminal, "ApplyChangesResponse", ApplyChangesResponse, answer);
  } else printStored(terminal, answer.results[0]?.after, answer.revision);
  return noteLagging(answer.lagging, terminal);
}

function printStored(
  terminal: Invocation["terminal"],
  route: Route | undefined,
  revision: bigint,
): void {
  if (route !== undefined) terminal.print(`${routeText(route)}  (revision ${revision})`);
}

export const routeList: Command = {
  path: ["route", "list"],
  summary: "the routes, by name",
  arguments: [],
  flags: [
    {
      name: "filter",
      value: "KEY=VALUE",
      help: "service, domain, port or a label; repeatable, all must hold",
      repeatable: true,
    },
    {
      name: "rejected",
      help: "instead: the entries of the store and the discovery sources that are set aside, and why",
    },
  ],
  client: true,
  examples: ["crosspoint route list --filter service=web", "crosspoint route list --rejected"],
  run: ({ flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      if (isOn(flags, "rejected")) return await listRejected(node, flags, terminal);
      const list = await node.routes(pairsOf(textsOf(flags, "filter"), "--filter"));
      if (isOn(flags, "json")) printJson(terminal, "ListRoutesResponse", ListRoutesResponse, list);
      else printRoutes(terminal, list.routes);
      return ExitStatus.Done;
    }),
};

export const routeGet: Command = {
  path: ["route", "get"],
  summary: "one route",
  arguments: [{ name: "NAME", help: "the route's key", complete: "route" }],
  flags: [],
  client: true,
  run: ({ args, flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const name = args[0] ?? "";
      const answer = await node.call<GetRouteResponse>((stub, ...rest) =>
        stub.getRoute({ name }, ...rest),
      );
      if (isOn(flags, "json")) printJson(terminal, "GetRouteResponse", GetRouteResponse, answer);
      else if (answer.route !== undefined) printRoute(terminal, answer.route);
      return ExitStatus.Done;
    }),
};

export const routeRemove: Command = {
  path: ["route", "remove"],
  summary: "remove a route; its open connections carry on",
  arguments: [{ name: "NAME", help: "the route's key", complete: "route" }],
  flags: [waitFlag],
  client: true,
  run: ({ args, flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const name = args[0] ?? "";
      if (name === "") throw usageError("NAME: is empty");
      const request = RemoveRouteRequest.fromPartial({ name, wait: waitOf(textOf(flags, "wait")) });
      const answer = await node.call<RemoveRouteResponse>((stub, ...rest) =>
        stub.removeRoute(request, ...rest),
      );
      if (isOn(flags, "json")) {
        printJson(terminal, "RemoveRouteResponse", RemoveRouteResponse, answer);
      } else terminal.print(`removed ${name}  (revision ${answer.revision})`);
      return noteLagging(answer.lagging, terminal);
    }),
};

async function listRejected(
  node: NodeClient,
  flags: Invocation["flags"],
  terminal: Invocation["terminal"],
): Promise<ExitStatus> {
  if (textsOf(flags, "filter").length > 0) {
    throw usageError("--filter: chooses among routes; what --rejected lists could not be read");
  }
  const list = await node.rejectedEntries();
  if (isOn(flags, "json")) {
    printJson(terminal, "ListRejectedEntriesResponse", ListRejectedEntriesResponse, list);
  } else {
    printTable(
      terminal,
      ["KEY", "REASON"],
      list.entries.map(({ key, reason }) => [key, reason]),
    );
  }
  return ExitStatus.Done;
}

function printRoutes(terminal: Invocation["terminal"], routes: readonly Route[]): void {
  printTable(
    terminal,
    ["NAME", "MATCH", "TARGET", "OPTIONS", "LABELS"],
    routes.map((route) => [
      route.name,
      matchText(route),
      targetText(route),
      optionsText(route),
      labelsText(route.labels),
    ]),
  );
}

function printRoute(terminal: Invocation["terminal"], route: Route): void {
  printTable(
    terminal,
    ["FIELD", "VALUE"],
    [
      ["name", route.name],
      ["match", matchText(route)],
      ["service", route.service],
      ["sticky", route.sticky ? "yes" : "no"],
      ["labels", labelsText(route.labels)],
      ...optionTexts(route).map(({ name, words }) => [name, words]),
      ["revision", String(route.revision)],
      ["created", route.createTime?.toISOString() ?? ""],
      ["updated", route.updateTime?.toISOString() ?? ""],
    ],
  );
}
