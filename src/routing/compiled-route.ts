// A route as requests use it: bound to the state of its service.

import type { PathPrefix, RouteName, ServiceName } from "../model/names.ts";
import type { Revision } from "../model/revision.ts";
import { matchText, type Route } from "../model/route.ts";
import type { ServiceState } from "./service-state.ts";

/** Never changes: a changed route is another object, and a request keeps the one it began with. */
export interface CompiledRoute {
  readonly name: RouteName;
  readonly route: Route;
  /** Who answers; undefined: a split, or the router itself. */
  readonly service: ServiceState | undefined;
  readonly sticky: boolean;
  /** That last changed this route. */
  readonly revision: Revision;
}

/** @param stateOf The state of a service that the route names. */
export function compileRoute(
  route: Route,
  stateOf: (name: ServiceName) => ServiceState,
): CompiledRoute {
  const service = route.service === undefined ? undefined : stateOf(route.service);
  return { name: route.name, route, service, sticky: route.sticky, revision: route.revision };
}

/** "/" for a TCP route, which has none. */
export function prefixOf(compiled: CompiledRoute): PathPrefix | "/" {
  const { match } = compiled.route;
  return match.kind === "http" ? match.pathPrefix : "/";
}

/** For people: `app.example.com/api (route "app-api")`. */
export function shownRoute(compiled: CompiledRoute): string {
  return `${matchText(compiled.route.match)} (route ${JSON.stringify(compiled.name)})`;
}
