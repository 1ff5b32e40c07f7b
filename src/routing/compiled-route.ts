// A route as requests use it: bound to the state of its services.

import { minted } from "../model/brand.ts";
import type { Conditions } from "../model/conditions.ts";
import type { Domain, ExactPath, PathPrefix, RouteName, ServiceName } from "../model/names.ts";
import type { Revision } from "../model/revision.ts";
import { matchText, type Route, type RouteMatch } from "../model/route.ts";
import type { RouteOptions } from "../model/route-options.ts";
import { AccessList } from "./access-list.ts";
import { RetryRule } from "./retry-rule.ts";
import type { ServiceState } from "./service-state.ts";
import { Split } from "./split.ts";

const noOptions: RouteOptions = {};
const rootPrefix = minted<PathPrefix>("/");

/** Of the few routes that have any of it; the others share the one reference to nothing. */
interface Extras {
  readonly options: RouteOptions | undefined;
  readonly when: Conditions | undefined;
  readonly port: number | undefined;
  readonly split: Split | undefined;
  readonly mirror: ServiceState | undefined;
  readonly access: AccessList | undefined;
  readonly retry: RetryRule | undefined;
}

/**
 * Never changes: a changed route is another object, and a request keeps the one it began with. Keeps what
 * requests use and no more, because a worker may have a million of them (docs/decisions/0032).
 */
export class CompiledRoute {
  readonly name: RouteName;
  /** As written: "app.example.com", "*.example.com", "*"; "" of a TCP route. */
  readonly domain: Domain | "";
  /** Exact or a prefix; "/" of a TCP route. */
  readonly path: ExactPath | PathPrefix;
  /** Only for its path, not for what is below it. */
  readonly isExact: boolean;
  /** Since when it has its match; see Route. */
  readonly matchRevision: Revision;
  /** Who answers; undefined: a split, or the router itself. */
  readonly service: ServiceState | undefined;
  readonly sticky: boolean;
  readonly #extras: Extras | undefined;

  /** @param stateOf The state of a service that the route names. */
  constructor(route: Route, stateOf: (name: ServiceName) => ServiceState) {
    const { match } = route;
    const isHttp = match.kind === "http";
    this.name = route.name;
    this.domain = isHttp ? match.domain : "";
    this.path = isHttp ? (match.exactPath ?? match.pathPrefix) : rootPrefix;
    this.isExact = isHttp && match.exactPath !== undefined;
    this.matchRevision = route.matchRevision;
    this.service = route.service === undefined ? undefined : stateOf(route.service);
    this.sticky = route.sticky;
    this.#extras = extrasOf(route, stateOf);
  }

  /** Of the route; undefined on most: one comparison tells that there is nothing else to do. */
  get options(): RouteOptions | undefined {
    return this.#extras === undefined ? undefined : this.#extras.options;
  }
  /** What must hold beside host and path; undefined: nothing. */
  get when(): Conditions | undefined {
    return this.#extras === undefined ? undefined : this.#extras.when;
  }
  /** Undefined: an HTTP route. */
  get port(): number | undefined {
    return this.#extras === undefined ? undefined : this.#extras.port;
  }
  /** As `HttpMatch` has it; "/" of a TCP route. */
  get pathPrefix(): PathPrefix {
    return this.isExact ? rootPrefix : minted<PathPrefix>(this.path);
  }
  get exactPath(): ExactPath | undefined {
    return this.isExact ? minted<ExactPath>(this.path) : undefined;
  }
  /** Made anew: for changes and for explaining. */
  get match(): RouteMatch {
    const { port, domain, pathPrefix, exactPath, when } = this;
    if (port !== undefined || domain === "") return { kind: "tcp", port: port ?? 0 };
    return {
      kind: "http",
      domain,
      pathPrefix,
      ...(exactPath === undefined ? {} : { exactPath }),
      ...(when === undefined ? {} : { when }),
    };
  }

  /** Every service that it may send anything to, each once. */
  get services(): readonly ServiceState[] {
    const { service, split, mirror } = this;
    if (this.#extras === undefined) return service === undefined ? [] : [service];
    const all = [service, ...(split?.shares ?? []).map((share) => share.service), mirror];
    return [...new Set(all.filter((each) => each !== undefined))];
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

  /** How often and when a request is tried again; undefined: as the node has it. */
  get retry(): RetryRule | undefined {
    return this.#extras === undefined ? undefined : this.#extras.retry;
  }

  /** Who answers this request: drawn, of a split; undefined: the router itself. Allocates nothing. */
  serviceFor(random: () => number): ServiceState | undefined {
    const { split } = this;
    return split === undefined ? this.service : split.pick(random);
  }
}

function extrasOf(
  { match, options }: Route,
  stateOf: (name: ServiceName) => ServiceState,
): Extras | undefined {
  const port = match.kind === "tcp" ? match.port : undefined;
  const when = match.kind === "http" ? match.when : undefined;
  if (options === undefined && port === undefined && when === undefined) return undefined;
  const { split, mirror, access, retry } = options ?? noOptions;
  return {
    options,
    when,
    port,
    split: split === undefined ? undefined : new Split(split, stateOf),
    mirror: mirror === undefined ? undefined : stateOf(mirror.service),
    access: access === undefined ? undefined : new AccessList(access),
    retry: retry === undefined ? undefined : new RetryRule(retry),
  };
}

/** For people: `app.example.com/api (route "app-api")`. */
export function shownRoute(compiled: CompiledRoute): string {
  return `${matchText(compiled.match)} (route ${JSON.stringify(compiled.name)})`;
}
