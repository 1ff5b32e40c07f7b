// Goal: whatever a client asks for, it gets descriptors that resolve by themselves.
// Method: every service, file and symbol of the image is asked for; a registry made of each answer alone
// must be complete.

import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { Reflection } from "../../src/control/reflection.ts";
import type { ServerReflectionRequest } from "../../src/gen/grpc/reflection/v1/reflection.ts";
import { image } from "../support/rpc-node.ts";

const reflection = new Reflection(image);
const files = fromBinary(FileDescriptorSetSchema, image).file;

type Question = NonNullable<ServerReflectionRequest["messageRequest"]>;

/** Names of the files in an answer, the asked one first; fails unless they resolve by themselves. */
function filesFor(messageRequest: Question): string[] {
  const { messageResponse } = reflection.answer({ host: "", messageRequest });
  if (messageResponse?.$case !== "fileDescriptorResponse") return [];
  const answered = messageResponse.value.fileDescriptorProto.map((bytes) =>
    fromBinary(FileDescriptorProtoSchema, bytes),
  );
  const byName = new Map(answered.map((file) => [file.name, file]));
  createFileRegistry(answered[0]!, (name) => byName.get(name));
  return answered.map(({ name }) => name);
}

describe("Reflection", () => {
  test("lists every service", () => {
    const answer = reflection.answer({
      host: "",
      messageRequest: { $case: "listServices", value: "" },
    });
    expect(answer.messageResponse).toEqual({
      $case: "listServicesResponse",
      value: {
        service: expect.arrayContaining([
          { name: "crosspoint.v1.RouterService" },
          { name: "grpc.health.v1.Health" },
          { name: "grpc.reflection.v1.ServerReflection" },
          { name: "grpc.reflection.v1alpha.ServerReflection" },
        ]),
      },
    });
  });

  test.for(files.map(({ name }) => name))("answers %s with all it imports", (value) => {
    const [first, ...imports] = filesFor({ $case: "fileByFilename", value });
    expect(first).toBe(value);
    expect(imports).toEqual(
      expect.arrayContaining(files.find(({ name }) => name === value)?.dependency ?? []),
    );
  });

  test.for([
    ["crosspoint.v1.RouterService", "crosspoint/v1/router.proto"],
    ["crosspoint.v1.RouterService.AddRoute", "crosspoint/v1/router.proto"],
    ["crosspoint.v1.Route", "crosspoint/v1/router.proto"],
    ["crosspoint.v1.Route.name", "crosspoint/v1/router.proto"],
    ["crosspoint.v1.Route.match", "crosspoint/v1/router.proto"],
    ["crosspoint.v1.Route.LabelsEntry", "crosspoint/v1/router.proto"],
    ["crosspoint.v1.WAIT_NODE", "crosspoint/v1/router.proto"],
    ["crosspoint.v1.ChangeResult.Action", "crosspoint/v1/router.proto"],
    ["google.rpc.ErrorInfo", "google/rpc/error_details.proto"],
    ["google.rpc.QuotaFailure.Violation", "google/rpc/error_details.proto"],
    ["grpc.health.v1.Health", "health/v1/health.proto"],
    ["google.protobuf.Duration", "google/protobuf/duration.proto"],
  ])("finds %s in %s", ([value, file]) => {
    expect(filesFor({ $case: "fileContainingSymbol", value: value! })[0]).toBe(file);
  });

  test("knows what it does not know", () => {
    for (const question of [
      { $case: "fileByFilename", value: "nobody.proto" },
      { $case: "fileContainingSymbol", value: "" },
      { $case: "fileContainingSymbol", value: "constructor" },
      { $case: "fileContainingExtension", value: { containingType: "x.Y", extensionNumber: 1 } },
      { $case: "allExtensionNumbersOfType", value: "x.Y" },
      undefined,
    ] satisfies (Question | undefined)[]) {
      const { messageResponse } = reflection.answer({ host: "", messageRequest: question });
      expect(messageResponse).toMatchObject({ $case: "errorResponse", value: { errorCode: 5 } });
    }
  });

  test("a type without extensions has none", () => {
    const value = "crosspoint.v1.Route";
    const messageRequest: Question = { $case: "allExtensionNumbersOfType", value };
    expect(reflection.answer({ host: "", messageRequest }).messageResponse).toEqual({
      $case: "allExtensionNumbersResponse",
      value: { baseTypeName: value, extensionNumber: [] },
    });
  });
});
