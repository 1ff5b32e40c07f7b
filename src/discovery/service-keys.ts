// etcd-netfw's keys and those of its kin: PREFIX NAME/ID and PREFIX NAME/ID/location, each with
// {"host":"172.31.51.34","port":5432}.
//
// Their other keys (NAME/ID/status/current, ...) lie beside these and are passed over.

import { type KeyValue, shownKey } from "../etcd/etcd.ts";
import { parseServiceName, type ServiceName } from "../model/names.ts";
import {
  addressOf,
  discoveredBackend,
  type Found,
  fieldsOf,
  jsonOf,
  type KeyForm,
  unreadable,
} from "./reading.ts";

/** Below a prefix that holds services: NAME/ID, NAME/ID/location. */
export const serviceKeys: KeyForm = {
  concerns: (rest) => isPlace(rest.split("/").slice(1)),
  read(rest, value) {
    const [name = "", ...place] = rest.split("/");
    if ((place[0] ?? "") === "") {
      throw unreadable("the key names no instance: what follows the folder is NAME/ID");
    }
    return found(parseServiceName(shownKey(name)), place, `${name}/${place[0]}`, value);
  },
};

/** Below one service's folder: ID, ID/location. */
export function instanceKeys(service: ServiceName): KeyForm {
  return {
    concerns: (rest) => isPlace(rest.split("/")),
    read(rest, value) {
      const place = rest.split("/");
      if (place[0] === "")
        throw unreadable("the key names no instance: what follows the folder is ID");
      return found(service, place, place[0] ?? "", value);
    },
  };
}

/** Behind the service's name: ID or ID/location, or too little. */
function isPlace(place: readonly string[]): boolean {
  return place.length < 2 || (place.length === 2 && place[1] === "location");
}

function found(
  service: ServiceName,
  place: readonly string[],
  instance: string,
  value: KeyValue,
): Found {
  const fields = fieldsOf(jsonOf(value));
  if (fields === undefined) {
    throw unreadable('the value is not an object such as {"host":"10.0.0.7","port":5432}');
  }
  const backend = discoveredBackend(
    service,
    addressOf(fields.get("host"), fields.get("port")),
    value,
  );
  return { backend, instance, preferred: place.length === 2 };
}
