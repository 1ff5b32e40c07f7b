// Routes in the words of the command line.

import { Route, type ValueMatch } from "../gen/crosspoint/v1/router.ts";
import { conditionsText, type ValueCondition } from "../model/conditions.ts";
import { messageToShortJson } from "./proto-json.ts";
import { printable } from "./table.ts";

/** "app.example.com/api", "app.example.com=/api [GET header x-canary=1]", "tcp:5432". */
export function matchText({ match }: Route): string {
  switch (match?.$case) {
    case "http": {
      const { domain, pathPrefix, path, methods, headers, query } = match.value;
      const prefix = pathPrefix === "/" ? "" : pathPrefix;
      const when = conditionsText({
        methods,
        headers: headers.map(conditionOf),
        query: query.map(conditionOf),
      });
      return `${domain}${path === "" ? prefix : `=${path}`}${when === "" ? "" : ` [${when}]`}`;
    }
    case "tcp":
      return `tcp:${match.value.port}`;
    default:
      return "";
  }
}

function conditionOf({ name, value }: ValueMatch): ValueCondition {
  if (value?.$case === "exact" || value?.$case === "prefix") {
    return { name, op: value.$case, value: value.value };
  }
  return { name, op: value?.value === false ? "absent" : "present", value: "" };
}

/** Who answers: "web", "web 90, web-next 10", "redirect 308, else web", "answer 503". */
export function targetText({ service, split, redirect, answer }: Route): string {
  const shares = splitText(split);
  const elsewhere = redirect === undefined ? "" : `redirect ${redirect.status}`;
  const own = answer === undefined ? "" : `answer ${answer.status}`;
  return [elsewhere, own, service, shares].filter(Boolean).join(", else ");
}

function splitText(split: Route["split"]): string {
  return split.map(({ service, weight }) => `${service} ${weight}`).join(", ");
}

/** "web  app.example.com/api -> shop  sticky  access rateLimit  team=x". */
export function routeText(route: Route): string {
  const head = `${route.name}  ${matchText(route)} -> ${targetText(route)}`;
  // Those that are in the head already are left out.
  const options = optionTexts(route)
    .map(([name]) => name)
    .filter((name) => !["split", "redirect", "answer"].includes(name))
    .join(" ");
  const words = [head, route.sticky ? "sticky" : "", options, labelsText(route.labels)];
  return printable(words.filter(Boolean).join("  "));
}

/** "owner=x,team=y". */
export function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}

const optionNames = [
  "split",
  "redirect",
  "answer",
  "rewrite",
  "mirror",
  "access",
  "rateLimit",
  "pages",
] as const;

/** The options that are set, each with what it says: a split in words, the others as JSON on one line. */
export function optionTexts(route: Route): readonly (readonly [string, string])[] {
  const json = messageToShortJson("Route", Route, route);
  if (typeof json !== "object" || json === null || Array.isArray(json)) return [];
  return optionNames.flatMap((name) => {
    const value = json[name];
    if (value === undefined) return [];
    return [[name, name === "split" ? splitText(route.split) : JSON.stringify(value)] as const];
  });
}

/** What differs between two versions of a route: "  service: web -> shop  sticky: no -> yes". */
export function differenceText(before: Route, after: Route): string {
  const was = settableTexts(before);
  const is = settableTexts(after);
  return [...new Set([...was.keys(), ...is.keys()])]
    .filter((name) => was.get(name) !== is.get(name))
    .map((name) => {
      const [from, to] = [was.get(name) ?? "", is.get(name) ?? ""];
      const now = shortened(to) === shortened(from) ? "another" : shortened(to);
      return `  ${name}: ${printable(shortened(from))} -> ${printable(now)}`;
    })
    .join("");
}

function settableTexts(route: Route): ReadonlyMap<string, string> {
  return new Map([
    ["name", route.name],
    ["match", matchText(route)],
    ["service", route.service],
    ["sticky", route.sticky ? "yes" : "no"],
    ["labels", labelsText(route.labels)],
    ...optionTexts(route),
  ]);
}

/** A line of a terminal or two; pages have thousands of characters. */
const shownCharactersMax = 160;

function shortened(text: string): string {
  if (text.length <= shownCharactersMax) return text;
  return `${text.slice(0, shownCharactersMax).toWellFormed()}... (${text.length} characters)`;
}
