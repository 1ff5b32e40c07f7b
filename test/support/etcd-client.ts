// A client of a real etcd that ends with the test, and a watch that writes down what it is told.

import { onTestFinished } from "vitest";
import { EtcdClient } from "../../src/etcd/client.ts";
import type {
  Etcd,
  EtcdSetting,
  Operation,
  Transaction,
  TransactionAnswer,
  WatchEvent,
  WatchMessage,
  WatchRequest,
  WatchStream,
} from "../../src/etcd/etcd.ts";
import { RouterError } from "../../src/model/errors.ts";
import { realSystem } from "../../src/system.ts";

const nobody: Omit<EtcdSetting, "endpoints"> = {
  user: undefined,
  password: undefined,
  passwordFile: undefined,
  caFile: undefined,
  certFile: undefined,
  keyFile: undefined,
};

export function settingOf(
  endpoints: string | readonly string[],
  rest: Partial<EtcdSetting> = {},
): EtcdSetting {
  return { ...nobody, ...rest, endpoints: typeof endpoints === "string" ? [endpoints] : endpoints };
}

/** Closed when the test ends. */
export async function openClient(
  endpoints: string | readonly string[],
  rest: Partial<EtcdSetting> = {},
): Promise<EtcdClient> {
  const client = await EtcdClient.open(settingOf(endpoints, rest), realSystem);
  onTestFinished(() => client.close());
  return client;
}

/** Writes whatever is there now. */
export function put(etcd: Etcd, key: string, value: string): Promise<TransactionAnswer> {
  return etcd.transact(always({ kind: "put", key, value }));
}

export function always(...success: readonly Operation[]): Transaction {
  return { compare: [], success, failure: [] };
}

/** The error that `call` rejects with; fails when it does not reject with a RouterError. */
export async function failureOf(call: Promise<unknown>): Promise<RouterError> {
  const reason: unknown = await call.then(
    () => new Error("it did not fail"),
    (error: unknown) => error,
  );
  if (reason instanceof RouterError) return reason;
  throw reason;
}

export class WatchRecord {
  readonly messages: WatchMessage[] = [];
  readonly causes: RouterError[] = [];
  readonly stream: WatchStream;

  constructor(etcd: Etcd, request: WatchRequest) {
    this.stream = etcd.watch(
      request,
      (message) => this.messages.push(message),
      (cause) => this.causes.push(cause),
    );
    onTestFinished(() => this.stream.cancel());
  }

  get events(): WatchEvent[] {
    return this.messages.flatMap((message) => (message.kind === "events" ? message.events : []));
  }

  get isCreated(): boolean {
    return this.messages.some(({ kind }) => kind === "created");
  }

  /** Why it ended; undefined: it has not. */
  get cause(): RouterError | undefined {
    return this.causes[0];
  }
}
