// What leads from one snapshot to another, as changes. Pure.

import { type Backend, backendKeyOf, sameStoredBackend } from "../model/backend.ts";
import type { Change, Snapshot } from "../model/change.ts";
import { type Route, sameRoute } from "../model/route.ts";
import { type Service, sameService } from "../model/service.ts";

/** Removals first; an entry that is the same in both is not named. */
export function differenceOf(from: Snapshot, to: Snapshot): Change[] {
  const routes = differing(from.routes, to.routes, ({ name }) => name, sameStoredRoute);
  const services = differing(from.services, to.services, ({ name }) => name, sameService);
  const backends = differing(from.backends, to.backends, backendKeyOf, sameStoredBackend);
  return [
    ...routes.gone.map(({ name }): Change => ({ kind: "route-removed", name })),
    ...services.gone.map(({ name }): Change => ({ kind: "service-removed", name })),
    ...backends.gone.map(
      ({ service, address }): Change => ({ kind: "backend-removed", service, address }),
    ),
    ...routes.put.map((route: Route): Change => ({ kind: "route-put", route })),
    ...services.put.map((service: Service): Change => ({ kind: "service-put", service })),
    ...backends.put.map((backend: Backend): Change => ({ kind: "backend-put", backend })),
  ];
}

function differing<T>(
  from: readonly T[],
  to: readonly T[],
  keyOf: (entry: T) => string,
  same: (a: T, b: T) => boolean,
): { readonly gone: readonly T[]; readonly put: readonly T[] } {
  const left = new Map(from.map((entry) => [keyOf(entry), entry]));
  const put: T[] = [];
  for (const entry of to) {
    const had = left.get(keyOf(entry));
    left.delete(keyOf(entry));
    if (had === undefined || !same(had, entry)) put.push(entry);
  }
  return { gone: [...left.values()], put };
}

/** Also in what the store set. */
function sameStoredRoute(a: Route, b: Route): boolean {
  return (
    a === b || (a.revision === b.revision && a.matchRevision === b.matchRevision && sameRoute(a, b))
  );
}
