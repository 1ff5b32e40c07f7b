// Goal: every error has its canonical code and the details that fit it, and reveals nothing of ours.

import { status as Codes } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { grpcStatusOf } from "../../src/control/grpc-status.ts";
import {
  ErrorInfo,
  PreconditionFailure,
  RetryInfo,
} from "../../src/gen/google/rpc/error_details.ts";
import { Status } from "../../src/gen/google/rpc/status.ts";
import { type ErrorDetails, RouterError, type RouterErrorCode } from "../../src/model/errors.ts";

const resource = { type: "route", name: "web" };
const violations = [{ field: "a.b", description: "is wrong" }];

const cases: readonly (readonly [
  RouterErrorCode,
  keyof typeof Codes,
  ErrorDetails,
  readonly string[],
])[] = [
  ["invalid-argument", "INVALID_ARGUMENT", { violations }, ["BadRequest"]],
  ["not-found", "NOT_FOUND", { resource }, ["ResourceInfo"]],
  ["already-exists", "ALREADY_EXISTS", { resource }, ["ResourceInfo"]],
  ["revision-conflict", "ABORTED", { metadata: { current: "7" } }, []],
  [
    "failed-precondition",
    "FAILED_PRECONDITION",
    { resource },
    ["ResourceInfo", "PreconditionFailure"],
  ],
  ["out-of-range", "OUT_OF_RANGE", { metadata: { oldest: "3" } }, []],
  ["resource-exhausted", "RESOURCE_EXHAUSTED", { retryAfterMs: 1 }, ["QuotaFailure", "RetryInfo"]],
  ["store-unavailable", "UNAVAILABLE", {}, ["RetryInfo"]],
  ["unavailable", "UNAVAILABLE", {}, ["RetryInfo"]],
  ["unimplemented", "UNIMPLEMENTED", { violations }, ["BadRequest"]],
  ["cancelled", "CANCELLED", {}, []],
  ["deadline", "DEADLINE_EXCEEDED", {}, []],
  ["internal", "INTERNAL", {}, []],
];

const decoded = (error: RouterError): Status => Status.decode(grpcStatusOf(error).details);

describe("grpcStatusOf", () => {
  test.for(cases)("%s is %s", ([code, name, details, types]) => {
    const error = new RouterError(code, "what happened", details);
    const status = decoded(error);
    expect(grpcStatusOf(error).code).toBe(name);
    expect(status.code).toBe(Codes[name]);
    expect(status.details.map(({ typeUrl }) => typeUrl)).toEqual(
      ["ErrorInfo", ...types].map((type) => `type.googleapis.com/google.rpc.${type}`),
    );
    expect(ErrorInfo.decode(status.details[0]!.value)).toEqual({
      reason: code.toUpperCase().replaceAll("-", "_"),
      domain: "crosspoint",
      metadata: details.metadata ?? {},
    });
  });

  test("an internal error says nothing of what happened", () => {
    const cause = new RouterError("internal", "/var/key: denied", {
      metadata: { path: "/var/key" },
    });
    expect(Buffer.from(grpcStatusOf(cause).details).includes("/var/key")).toBe(false);
    expect(grpcStatusOf(cause).message).not.toContain("/var/key");
  });

  test("a reason of its own, the subject and the delay are as given", () => {
    const details = decoded(
      new RouterError("failed-precondition", "in use", {
        resource,
        reason: "IN_USE",
        retryAfterMs: 1_500,
      }),
    ).details;
    expect(PreconditionFailure.decode(details[2]!.value).violations).toEqual([
      { type: "IN_USE", subject: "route/web", description: "in use" },
    ]);
    expect(RetryInfo.decode(details[3]!.value).retryDelay).toEqual({
      seconds: 1n,
      nanos: 500_000_000,
    });
  });

  test("long texts are cut, so that the trailer fits", () => {
    const long = "x".repeat(100_000);
    const many = Array.from({ length: 1_000 }, () => ({
      field: "changes[4999].put_route.http.path_prefix",
      description: long,
    }));
    const error = new RouterError("invalid-argument", long, {
      violations: many,
      resource: { type: "route", name: long, description: long },
      metadata: { long },
    });
    expect(grpcStatusOf(error).details.length).toBeLessThan(6 * 1024);
    expect(grpcStatusOf(error).message.length).toBeLessThan(600);
  });
});
