// A node that answers what a test tells it to, over a real port: for what the command makes of answers that
// a node alone never gives.

import { onTestFinished } from "vitest";
import { GrpcServer } from "../../src/control/grpc-server.ts";
import type { RouterCalls } from "../../src/control/router-service.ts";
import * as proto from "../../src/gen/crosspoint/v1/router.ts";
import { RouterError } from "../../src/model/errors.ts";
import { realSystem } from "../../src/system.ts";
import { recordingLog } from "../support/recording-log.ts";
import { image } from "../support/rpc-node.ts";

export interface AnsweringNode {
  readonly rpc: string;
  /** What was asked, in order: ["acceptStore", the request]. */
  readonly asked: (readonly [string, unknown])[];
}

/** The unary calls by name; each answers fields of its response, or throws. Ends with the test. */
export type Answers = Partial<
  Record<Exclude<keyof RouterCalls, "watch">, (request: never) => object>
>;

export async function startAnsweringNode(answers: Answers): Promise<AnsweringNode> {
  const asked: (readonly [string, unknown])[] = [];
  const service = new Proxy({} as RouterCalls, {
    get: (_, name: keyof RouterCalls) => async (request: never) => {
      asked.push([name, request]);
      const answer = name === "watch" ? undefined : answers[name];
      if (answer === undefined) throw new RouterError("unimplemented", `${name} is not expected`);
      return responseOf(name, answer(request));
    },
  });
  const server = await GrpcServer.listen({
    address: { kind: "tcp", address: "127.0.0.1", port: 0 },
    service,
    image,
    system: realSystem,
    log: recordingLog(),
  });
  server.setServing(true);
  onTestFinished(() => server.close(0));
  return { rpc: server.address, asked };
}

function responseOf(method: string, fields: object): never {
  const name = `${method[0]!.toUpperCase()}${method.slice(1)}Response`;
  const type = (proto as unknown as Record<string, { fromPartial(fields: object): never }>)[name];
  return type!.fromPartial(fields);
}
