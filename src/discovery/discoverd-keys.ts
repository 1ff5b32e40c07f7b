// discoverd's keys. Version 1: PREFIX NAME/HOST:PORT, with a JSON object of attributes or null. Later:
// PREFIX NAME/instances/ID, with {"id":"...","addr":"HOST:PORT","proto":"tcp","meta":{...}}.
//
// Attributes (meta) become labels where they fit; what does not is for others, and no reason to leave a
// backend out.

import { type KeyValue, shownKey } from "../etcd/etcd.ts";
import { type Labels, parseLabels, parseServiceName } from "../model/names.ts";
import {
  discoveredBackend,
  type Found,
  fieldsOf,
  jsonOf,
  type KeyForm,
  parsedAddress,
  unreadable,
} from "./reading.ts";

/** What later versions of discoverd keep beside a service's instances. */
const besideInstances: ReadonlySet<string> = new Set(["config", "instances", "leader", "meta"]);

export const discoverdKeys: KeyForm = {
  concerns(rest) {
    const [, second = "", ...more] = rest.split("/");
    if (more.length === 0) return !besideInstances.has(second);
    return second === "instances" && more.length === 1;
  },
  read(rest, value) {
    const [name = "", second = "", third] = rest.split("/");
    if (third !== undefined) return instance(name, third, value);
    if (second === "") {
      throw unreadable("the key names no backend: what follows the folder is NAME/HOST:PORT");
    }
    const service = parseServiceName(shownKey(name));
    const address = parsedAddress(shownKey(second), "key");
    const attributes = jsonOf(value);
    const fields = attributes === null ? noFields : fieldsOf(attributes);
    if (fields === undefined) throw unreadable("the value is neither an object of texts nor null");
    const backend = discoveredBackend(service, address, value, labelsOf(fields));
    return { backend, instance: rest, preferred: false };
  },
};

const noFields: ReadonlyMap<string, unknown> = new Map();

function instance(name: string, id: string, value: KeyValue): Found {
  const service = parseServiceName(shownKey(name));
  if (id === "") {
    throw unreadable("the key names no instance: what follows the folder is NAME/instances/ID");
  }
  const fields = fieldsOf(jsonOf(value));
  const address = fields?.get("addr");
  if (typeof address !== "string") {
    throw unreadable('the value is not an object such as {"id":"a1","addr":"10.0.0.7:5432"}');
  }
  const labels = labelsOf(fieldsOf(fields?.get("meta")) ?? noFields);
  return {
    backend: discoveredBackend(service, parsedAddress(address, "addr"), value, labels),
    instance: `${name}/instances/${id}`,
    preferred: false,
  };
}

/** What can be a label, in the order of its keys, as many as fit. */
function labelsOf(fields: ReadonlyMap<string, unknown>): Labels {
  let labels: Labels = {};
  for (const key of [...fields.keys()].toSorted()) {
    const value = fields.get(key);
    if (typeof value === "string") labels = withLabel(labels, key, value);
  }
  return labels;
}

function withLabel(labels: Labels, key: string, value: string): Labels {
  try {
    return parseLabels({ ...labels, [key]: value });
  } catch {
    return labels;
  }
}
