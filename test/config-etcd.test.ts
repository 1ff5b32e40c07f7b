// Goal: an etcd is named the way people write addresses; what does not go together is told by its name; and
// no message repeats a password.

import { describe, expect, test } from "vitest";
import { parseConfig, type RawOptions } from "../src/config.ts";
import type { EtcdSetting } from "../src/etcd/etcd.ts";
import { RouterError } from "../src/model/errors.ts";

const host = {
  hostname: () => "node-a",
  homedir: () => "/nowhere",
  cores: () => 1,
  readFile: (path: string) => {
    if (path !== "/etc/node.yaml") throw new Error(path);
    return "store: etcd:https://h\ndiscover: [discoverd:https://d]\netcd-ca: /ca.pem\n";
  },
};

const parsed = (options: RawOptions, env: NodeJS.ProcessEnv = {}) =>
  parseConfig(options, env, host);

function etcd(endpoints: readonly string[], more: Partial<EtcdSetting> = {}): EtcdSetting {
  return {
    endpoints,
    user: undefined,
    password: undefined,
    passwordFile: undefined,
    caFile: undefined,
    certFile: undefined,
    keyFile: undefined,
    ...more,
  };
}

function messageOf(options: RawOptions, env: NodeJS.ProcessEnv = {}): string {
  try {
    parsed(options, env);
  } catch (error) {
    expect(error).toMatchObject({ code: "invalid-argument" });
    return (error as RouterError).message;
  }
  throw new Error("nothing was thrown");
}

describe("--store etcd:", () => {
  test.for<readonly [string, EtcdSetting, string]>([
    ["etcd:http://h1:2379", etcd(["http://h1:2379"]), "/crosspoint"],
    ["etcd:http://h1", etcd(["http://h1:2379"]), "/crosspoint"],
    ["etcd:HTTP://H1:80", etcd(["http://h1:80"]), "/crosspoint"],
    ["etcd:http://h1:1,http://h2:2/shop", etcd(["http://h1:1", "http://h2:2"]), "/shop"],
    [
      "etcd:https://h1,h2:9, h3/a/b.c_d/",
      etcd(["https://h1:2379", "https://h2:9", "https://h3:2379"]),
      "/a/b.c_d",
    ],
    ["etcd:http://h1/,http://h2", etcd(["http://h1:2379", "http://h2:2379"]), "/crosspoint"],
    ["etcd:http://h1,h1:2379", etcd(["http://h1:2379"]), "/crosspoint"],
    [
      "etcd:http://[::1],http://[2001:DB8::7]:99/x",
      etcd(["http://[::1]:2379", "http://[2001:db8::7]:99"]),
      "/x",
    ],
    [
      "etcd:http://ada:s%40cr%2Ct%2F%3A@h1,h2/x@y",
      etcd(["http://h1:2379", "http://h2:2379"], { user: "ada", password: "s@cr,t/:" }),
      "/x@y",
    ],
    [
      "etcd:https://ada:p@h1,https://ada:p@h2",
      etcd(["https://h1:2379", "https://h2:2379"], { user: "ada", password: "p" }),
      "/crosspoint",
    ],
  ])("%s is understood, whichever way it is given", ([text, setting, prefix]) => {
    const store = { kind: "etcd", etcd: setting, prefix };
    expect(parsed({ store: text }).store).toEqual(store);
    expect(parsed({}, { CROSSPOINT_STORE: text }).store).toEqual(store);
  });

  test.for([
    ["etcd:", /"etcd:": it does not begin with http:\/\/ or https:\/\//],
    ["etcd:h1:2379", /does not begin with http/],
    ["etcd:ftp://h1", /does not begin with http/],
    ["etcd:http://", /an endpoint has no host/],
    ["etcd:http://h1,", /an endpoint has no host/],
    ["etcd:http://h1,ftp://h2", /not all http:\/\/ or all https:\/\//],
    ["etcd:http://h1,https://h2", /not all http:\/\/ or all https:\/\//],
    ["etcd:http://h1:x", /"h1:x" is not HOST:PORT/],
    ["etcd:http://h1:0", /"h1:0" is not HOST:PORT/],
    ["etcd:http://h1:65536", /"h1:65536" is not HOST:PORT/],
    ["etcd:http://::1:2379", /"::1:2379" is not HOST:PORT, such as .*\[::1\]:2379/],
    ["etcd:http://300.0.0.1", /"300\.0\.0\.1" is not HOST:PORT/],
    ["etcd:http://h1/shop,http://h2", /the prefix, "\/shop", does not stand at the end/],
    ["etcd:http://h1,h2/", /the prefix "\/" is all of the etcd/],
    ["etcd:http://h1/a//b", /the prefix, "\/a\/\/b", is not printable ASCII/],
    ["etcd:http://h1//", /the prefix, "\/\/", is not printable ASCII/],
    ["etcd:http://h1/a b", /is not printable ASCII without spaces/],
    ["etcd:http://h1/ä", /is not printable ASCII/],
    ["etcd:http://h1/a\nb", /is not printable ASCII/],
    ["etcd:http://:p@h1", /is not USER:PASSWORD/],
    ["etcd:http://a:%zz@h1", /is not USER:PASSWORD, with .* percent-encoded/],
    ["etcd:http://a:p@h1,http://b:p@h2", /names more than one user or password/],
    ["etcd:http://ada@h1", /^--store: names a user without a password: add --etcd-password-file/],
  ] as const)("%s is refused, and the message says how it is written", ([store, message]) => {
    const told = messageOf({ store });
    expect(told).toMatch(message);
    expect(told.startsWith("--store: ")).toBe(true);
    if (!store.includes("ada@")) {
      expect(told).toContain("write etcd:http://HOST:2379,http://HOST:2379[/PREFIX]");
    }
  });

  test.for([
    "etcd:http://ada:hunter2@h1:x",
    "etcd:http://ada:hun/ter2@h1",
    "etcd:http://ada:hun,ter2@h1",
    "etcd:http://ada:hun@ter2@h1:x",
    "etcd:http://ada:hunter2@h1/a//b",
    "etcd:http://ada:hunter2@h1,http://eve:hunter2@h2",
    "etcd:http://ada:hunter2@h1,https://ada:hunter2@h2/x@y",
    "etcd:http://ada:hunter2%zz@h1",
    "etcd:ada:hunter2@h1",
    "ectd:http://ada:hunter2@h1",
    "etcd//ada:hunter2@h1",
    "ada:hunter2@h1",
    "http://ada:hunter2@h1/x y",
  ])("the message about %s does not repeat the password", (store) => {
    for (const told of [
      messageOf({ store }),
      messageOf({ discover: store }),
      messageOf({}, { CROSSPOINT_DISCOVER: store }),
    ]) {
      expect(told).not.toMatch(/hunter|hun\b|ter2/);
      expect(told).toContain("***@");
    }
  });
});

describe("--discover", () => {
  test.for([
    ["etcd:http://h:2379/services/", "etcd", "/services/"],
    ["etcd:http://h:2379/services", "etcd", "/services/"],
    ["etcd:http://h:2379", "etcd", "/services/"],
    ["etcd:http://h/team/a", "etcd", "/team/a/"],
    ["discoverd:http://h:2379", "discoverd", "/discover/services/"],
    ["discoverd:http://h/other/", "discoverd", "/other/"],
  ] as const)("%s", ([text, kind, prefix]) => {
    expect(parsed({ discover: text }).discover).toEqual([
      { kind, prefix, etcd: etcd(["http://h:2379"]) },
    ]);
  });

  test("may be given again; a variable holds several, with their own commas", () => {
    const texts = [
      "etcd:http://h1,http://h2:1,h3/services/",
      "discoverd:https://d1,d2",
      "etcd:http://h4",
    ];
    const expected = [
      {
        kind: "etcd",
        prefix: "/services/",
        etcd: etcd(["http://h1:2379", "http://h2:1", "http://h3:2379"]),
      },
      {
        kind: "discoverd",
        prefix: "/discover/services/",
        etcd: etcd(["https://d1:2379", "https://d2:2379"]),
      },
      { kind: "etcd", prefix: "/services/", etcd: etcd(["http://h4:2379"]) },
    ];
    expect(parsed({ discover: texts }).discover).toEqual(expected);
    expect(parsed({}, { CROSSPOINT_DISCOVER: texts.join(", ") }).discover).toEqual(expected);
    expect(parsed({}, { CROSSPOINT_DISCOVER: texts.join(",") }).discover).toEqual(expected);
  });

  test("is refused like a store, by its own name", () => {
    expect(messageOf({ discover: "etcd:http://h:x" })).toMatch(
      /^--discover: "etcd:http:\/\/h:x": .*; write etcd:http:\/\/HOST:2379\/services\/$/,
    );
    expect(messageOf({}, { CROSSPOINT_DISCOVER: "discoverd:h" })).toMatch(
      /^CROSSPOINT_DISCOVER: "discoverd:h": .*; write discoverd:http:\/\/HOST:2379$/,
    );
  });
});

describe("what counts for every etcd", () => {
  const files = { "etcd-ca": "/ca", "etcd-cert": "/cert", "etcd-key": "/key" };
  const login = { "etcd-user": "ada", "etcd-password-file": "/pw" };

  test("reaches the store and every discovery source", () => {
    const config = parsed({
      store: "etcd:https://h",
      discover: ["etcd:https://d", "discoverd:https://e"],
      ...files,
      ...login,
    });
    const more = {
      user: "ada",
      passwordFile: "/pw",
      caFile: "/ca",
      certFile: "/cert",
      keyFile: "/key",
    };
    expect(config.store).toEqual({
      kind: "etcd",
      prefix: "/crosspoint",
      etcd: etcd(["https://h:2379"], more),
    });
    expect(config.discover.map((one) => one.etcd)).toEqual([
      etcd(["https://d:2379"], more),
      etcd(["https://e:2379"], more),
    ]);
  });

  test("comes from variables and from the file too, with absolute paths", () => {
    const config = parsed(
      { config: "/etc/node.yaml" },
      { CROSSPOINT_ETCD_USER: "ada", CROSSPOINT_ETCD_PASSWORD_FILE: "pw" },
    );
    const more = { user: "ada", passwordFile: `${process.cwd()}/pw`, caFile: "/ca.pem" };
    expect(config.store).toMatchObject({ etcd: etcd(["https://h:2379"], more) });
    expect(config.discover).toMatchObject([{ etcd: etcd(["https://d:2379"], more) }]);
  });

  test("the password of a user in the address may stand in the file", () => {
    const config = parsed({ store: "etcd:http://ada@h", "etcd-password-file": "/pw" });
    expect(config.store).toMatchObject({
      etcd: etcd(["http://h:2379"], { user: "ada", passwordFile: "/pw" }),
    });
  });

  test("certificates go only to the etcds that speak TLS", () => {
    const config = parsed({ store: "etcd:https://h", discover: "etcd:http://d", ...files });
    expect(config.store).toMatchObject({ etcd: { caFile: "/ca", certFile: "/cert" } });
    expect(config.discover.map((one) => one.etcd)).toEqual([etcd(["http://d:2379"])]);
  });

  const etcdStore = { store: "etcd:http://h:2379" };
  const secureStore = { store: "etcd:https://h:2379" };
  test.for<readonly [RawOptions, RegExp]>([
    [{ "etcd-user": "ada" }, /^--etcd-user: is for an etcd, and none is named: --store etcd:/],
    [{ "etcd-password-file": "/pw", store: "memory:" }, /^--etcd-password-file: is for an etcd/],
    [{ "etcd-ca": "/ca" }, /^--etcd-ca: is for an etcd/],
    [{ "etcd-cert": "/c", "etcd-key": "/k" }, /^--etcd-cert: is for an etcd/],
    [{ "etcd-key": "/k" }, /^--etcd-key: is for an etcd/],
    [{ ...etcdStore, "etcd-user": "ada" }, /^--etcd-user: names a user without a password/],
    [{ ...etcdStore, "etcd-password-file": "/pw" }, /^--etcd-password-file: needs --etcd-user/],
    [{ ...etcdStore, "etcd-user": "", "etcd-password-file": "/pw" }, /^--etcd-user: "" is not/],
    [
      { ...etcdStore, "etcd-user": "ada", "etcd-password-file": "" },
      /"" is not the name of a file/,
    ],
    [
      { ...etcdStore, "etcd-ca": "/ca" },
      /^--etcd-ca: is for https:\/\/, and http:\/\/h:2379 is not/,
    ],
    [{ ...etcdStore, "etcd-cert": "/c", "etcd-key": "/k" }, /^--etcd-cert: is for https/],
    [{ ...secureStore, "etcd-cert": "/c" }, /^--etcd-cert: needs --etcd-key as well/],
    [{ ...secureStore, "etcd-key": "/k" }, /^--etcd-key: needs --etcd-cert as well/],
    [
      { store: "etcd:http://eve:pw@h", ...login },
      /^--etcd-user: the address of --store names a user already$/,
    ],
    [
      { ...etcdStore, discover: "etcd:http://eve:pw@h", ...login },
      /^--etcd-user: the address of --discover names a user already$/,
    ],
    [
      { store: "etcd:http://eve:pw@h", "etcd-password-file": "/pw" },
      /^--etcd-password-file: the address of --store has a password already$/,
    ],
  ])("%j is refused", ([options, message]) => {
    expect(messageOf(options)).toMatch(message);
  });

  test("what is wrong in a variable is told by its name", () => {
    expect(messageOf({}, { CROSSPOINT_ETCD_CA: "/ca" })).toMatch(/^CROSSPOINT_ETCD_CA: is for an/);
  });
});

describe("--accept-store", () => {
  test("is for an etcd store, and off unless it is said", () => {
    const store = "etcd:http://h";
    expect(parsed({ store }).acceptStore).toBe(false);
    expect(parsed({ store, "accept-store": true }).acceptStore).toBe(true);
    expect(parsed({ store }, { CROSSPOINT_ACCEPT_STORE: "yes" }).acceptStore).toBe(true);
    expect(parsed({}, { CROSSPOINT_ACCEPT_STORE: "0" }).acceptStore).toBe(false);
    expect(messageOf({ "accept-store": true })).toMatch(/^--accept-store: is for --store etcd:/);
    expect(messageOf({ "accept-store": true, discover: "etcd:http://h" })).toMatch(
      /^--accept-store: is for --store etcd:/,
    );
  });
});
