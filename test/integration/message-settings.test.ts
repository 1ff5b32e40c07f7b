// Goal: what an operator says of the fields that are added reaches every worker of a node.
// Method: a whole node; several connections, so that each worker gets some; the request as the backend got it.

import { expect, onTestFinished, test } from "vitest";
import { answering, okAnswer, RawBackend } from "../support/peer.ts";
import { type StrictMessage, valuesOf } from "../support/strict-http.ts";
import { httpMatch, startWholeNode } from "../support/whole-node.ts";

/** Via and Forwarded as the backend saw them, and Via of the answer, of several requests. */
async function seenWith(changes: Parameters<typeof startWholeNode>[0]): Promise<string[]> {
  const requests: StrictMessage[] = [];
  const backend = await RawBackend.start(
    answering((request) => {
      requests.push(request);
      return okAnswer("");
    }),
  );
  onTestFinished(() => backend.close());
  const node = await startWholeNode(changes);
  await node.lead(httpMatch("a.test"), backend.address);
  const answers: string[] = [];
  for (let i = 0; i < 6; i++) answers.push(String((await node.get("a.test")).headers["via"]));
  const seen = requests.map((request, index) =>
    [valuesOf(request, "via"), valuesOf(request, "forwarded"), answers[index]].join(" | "),
  );
  return [...new Set(seen)];
}

test("by default: Via, no Forwarded", async () => {
  expect(await seenWith({})).toEqual(["1.1 crosspoint |  | 1.1 crosspoint"]);
});

test("--via NAME and --forwarded on", async () => {
  const forwarded = "for=127.0.0.1;proto=http;host=a.test";
  expect(await seenWith({ via: "edge", forwarded: true })).toEqual([
    `1.1 edge | ${forwarded} | 1.1 edge`,
  ]);
});

test("--via off", async () => {
  expect(await seenWith({ via: "off" })).toEqual([" |  | undefined"]);
});
