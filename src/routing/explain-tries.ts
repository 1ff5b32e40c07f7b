// What a route says of the tries of its requests and of their time, in sentences for people.

import type { RouteOptions } from "../model/route-options.ts";
import { RetryRule } from "./retry-rule.ts";

/** Nothing of a route that says nothing: what the node does is in docs/BALANCING.md. */
export function explainTries(
  { retry, timeoutMs }: RouteOptions,
  isSticky: boolean,
  steps: string[],
): void {
  if (retry !== undefined) explainRule(new RetryRule(retry), isSticky, steps);
  if (timeoutMs !== undefined) {
    steps.push(`the whole request may take ${timeoutMs} ms, over all tries: then 504 request-time`);
  }
}

function explainRule(rule: RetryRule, isSticky: boolean, steps: string[]): void {
  const { tries, perTryMs, hedgeMs, price, statuses } = rule;
  const reasons = [
    ...(rule.onConnect ? ["nothing could be sent"] : []),
    ...(rule.onReset ? ["the connection broke before the answer"] : []),
    ...(rule.onTimeout && perTryMs > 0 ? ["the time for a try is over"] : []),
    ...(statuses.length > 0 ? [`the answer is ${statuses.join(", ")}`] : []),
  ];
  const many = tries === 0 ? "as often as the node allows" : `${tries} times in all`;
  if (tries === 1 || reasons.length === 0) steps.push("the request is tried once");
  else {
    steps.push(`the request is tried ${many}: again when ${reasons.join(", or ")}`);
    steps.push(
      "only an idempotent request is sent again, and none of whose answer the client has had a byte",
    );
  }
  if (perTryMs > 0)
    steps.push(`each try has ${perTryMs} ms until its answer begins: then 504 try-time`);
  if (price > 0) {
    steps.push(`retries are at most ${Math.round(100 / price)} of 100 answers of the service`);
  }
  if (hedgeMs === 0 || tries === 1) return;
  const except = isSticky ? ", unless a cookie names its backend" : "";
  steps.push(
    `an idempotent request without an answer after ${hedgeMs} ms goes to a second backend as well${except}`,
  );
}
