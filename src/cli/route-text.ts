// Routes in the words of the command line.

import type { Route, ValueMatch } from "../gen/crosspoint/v1/router.ts";
import { conditionsText, type ValueCondition } from "../model/conditions.ts";
import { optionTexts, redirectWords, splitText } from "./route-option-text.ts";
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

/** Who answers: "web", "web 90, web-next 10", "redirect 308 to https, else web", "answer 503". */
export function targetText({ service, split, redirect, answer }: Route): string {
  const shares = splitText(split);
  const elsewhere = redirect === undefined ? "" : `redirect ${redirectWords(redirect)}`;
  const own = answer === undefined ? "" : `answer ${answer.status}`;
  return [elsewhere, own, service, shares].filter(Boolean).join(", else ");
}

/** "web  app.example.com/api -> shop  sticky  access rateLimit  team=x". */
export function routeText(route: Route): string {
  const head = `${route.name}  ${matchText(route)} -> ${targetText(route)}`;
  const words = [head, optionsText(route), labelsText(route.labels)];
  return printable(words.filter(Boolean).join("  "));
}

/** What the target and the match do not say, by name: "sticky access rateLimit". */
export function optionsText(route: Route): string {
  const names = optionTexts(route).map(({ name }) => name);
  const others = names.filter((name) => !["split", "redirect", "answer"].includes(name));
  return [...(route.sticky ? ["sticky"] : []), ...others].join(" ");
}

/** "owner=x,team=y". */
export function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}

/** What differs between two versions of a route: "  service: web -> shop  sticky: no -> yes". */
export function differenceText(before: Route, after: Route): string {
  const was = settableTexts(before);
  const is = settableTexts(after);
  return [...new Set([...was.keys(), ...is.keys()])]
    .filter((name) => was.get(name)?.exact !== is.get(name)?.exact)
    .map((name) => {
      const [from, to] = [shortened(was.get(name)?.words), shortened(is.get(name)?.words)];
      return `  ${name}: ${printable(from)} -> ${printable(to === from ? "another" : to)}`;
    })
    .join("");
}

interface SettableText {
  readonly words: string;
  /** Different for what differs. */
  readonly exact: string;
}

function settableTexts(route: Route): ReadonlyMap<string, SettableText> {
  const plain = {
    name: route.name,
    match: matchText(route),
    service: route.service,
    sticky: route.sticky ? "yes" : "no",
    labels: labelsText(route.labels),
  };
  return new Map([
    ...Object.entries(plain).map(([name, words]) => [name, { words, exact: words }] as const),
    ...optionTexts(route).map((option) => [option.name, option] as const),
  ]);
}

/** A line of a terminal or two; access lists have hundreds of ranges. */
const shownCharactersMax = 160;

function shortened(text = ""): string {
  if (text.length <= shownCharactersMax) return text;
  return `${text.slice(0, shownCharactersMax).toWellFormed()}... (${text.length} characters)`;
}
