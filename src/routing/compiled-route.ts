// A route as requests use it: bound to the state of its services.

import type { Conditions } from "../model/conditions.ts";
import type { RouteName, ServiceName } from "../model/names.ts";
import { matchText, type Route } from "../model/route.ts";
import type { RouteOptions } from "../model/route-options.ts";
import { AccessList } from "./access-list.ts";
import type { ServiceState } from "./service-state.ts";
import { Split } from "./split.ts";

/** Of the few routes that have any of it; the others share the one reference to nothing. */
interface Extras {
  readonly split: Split | undefined;
  readonly mirror: ServiceState | undefined;
  readonly access: AccessList | undefined;
}

/** Never changes: a changed route is another object, and a request keeps the one it began with. */
export class CompiledRoute {
  readonly name: RouteName;
  readonly route: Route;
  /** Who answers; undefined: a split, or the router itself. */
  readonly service: ServiceState | undefined;
  readonly sticky: boolean;
  /** Of the route; undefined on most: one comparison tells that there is nothing else to do. */
  readonly options: RouteOptions | undefined;
  /** What must hold beside host and path; undefined: nothing. */
  readonly when: Conditions | undefined;
  readonly #extras: Extras | undefined;

  /** @param stateOf The state of a service that the route names. */
  constructor(route: Route, stateOf: (name: ServiceName) => ServiceState) {
    this.name = route.name;
    this.route = route;
    this.service = route.service === undefined ? undefined : stateOf(route.service);
    this.sticky = route.sticky;
    this.options = route.options;
    this.when = route.match.kind === "http" ? route.match.when : undefined;
    this.#extras = extrasOf(route, stateOf);
  }

  /** The services that share the requests; undefined: there is one, or none. */
  get split(): Split | undefined {
    return this.#extras === undefined ? undefined : this.#extras.split;
  }
  /** Who gets copies; how many, `options.mirror` says. */
  get mirror(): ServiceState | undefined {
    return this.#extras === undefined ? undefined : this.#extras.mirror;
  }

  /** Who may come; undefined: everybody. */
  get access(): AccessList | undefined {
    return this.#extras === undefined ? undefined : this.#extras.access;
  }

  /** Who answers this request: drawn, of a split; undefined: the router itself. Allocates nothing. */
  serviceFor(random: () => number): ServiceState | undefined {
    const { split } = this;
    return split === undefined ? this.service : split.pick(random);
  }
}

function extrasOf(
  { options }: Route,
  stateOf: (name: ServiceName) => ServiceState,
): Extras | undefined {
  if (options === undefined) return undefined;
  const { split, mirror, access } = options;
  if (split === undefined && mirror === undefined && access === undefined) return undefined;
  return {
    split: split === undefined ? undefined : new Split(split, stateOf),
    mirror: mirror === undefined ? undefined : stateOf(mirror.service),
    access: access === undefined ? undefined : new AccessList(access),
  };
}

/** The path that the route is for, exact or a prefix; "/" for a TCP route, which has none. */
export function pathOf({ route: { match } }: CompiledRoute): string {
  return match.kind === "tcp" ? "/" : (match.exactPath ?? match.pathPrefix);
}

/** Only for its path, not for what is below it. */
export function isExact({ route: { match } }: CompiledRoute): boolean {
  return match.kind === "http" && match.exactPath !== undefined;
}

/** For people: `app.example.com/api (route "app-api")`. */
export function shownRoute(compiled: CompiledRoute): string {
  return `${matchText(compiled.route.match)} (route ${JSON.stringify(compiled.name)})`;
}
