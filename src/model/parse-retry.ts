// How often and when a route's requests are tried again, as a caller asks for it, checked.

import { invalidField } from "./errors.ts";
import { Fields } from "./fields.ts";
import { askedCount, askedMs, type Range } from "./ranges.ts";
import type { Retry, RetryOn } from "./route-options.ts";

/** 0, [] and undefined stand for what was left out; times in ms. */
export interface RetryWish {
  readonly tries: number;
  readonly perTryMs: number | undefined;
  readonly on: readonly RetryOn[];
  readonly statuses: readonly number[];
  readonly budgetPercent: number;
  readonly hedgeMs: number | undefined;
}

const tries: Range = { min: 1, max: 10 };
const percents: Range = { min: 1, max: 100 };
const statusesMax = 16;
/** Of a try, of a hedge and of a whole request. */
export const requestMs: Range = { min: 1, max: 3_600_000 };
/** As they are written: one order for one meaning. */
const order: readonly RetryOn[] = ["connect", "reset", "timeout", "status"];

/** undefined when it says nothing. Throws "invalid-argument" naming every wrong field below `field`. */
export function parseRetry(wish: RetryWish, field: string): Retry | undefined {
  const fields = new Fields();
  const asked = fields.read(() => askedCount(wish.tries, tries, `${field}.tries`));
  const perTryMs = fields.read(() => askedMs(wish.perTryMs, requestMs, `${field}.per_try_timeout`));
  fields.read(() => checkOn(wish, field));
  const statuses = fields.read(() => parseStatuses(wish.statuses, `${field}.statuses`));
  const budgetPercent = fields.read(() =>
    askedCount(wish.budgetPercent, percents, `${field}.budget_percent`),
  );
  const hedgeMs = fields.read(() => askedMs(wish.hedgeMs, requestMs, `${field}.hedge_after`));
  fields.throwIfWrong();
  const on = order.filter((failure) => wish.on.includes(failure));
  const retry: Retry = {
    ...(asked === undefined ? {} : { tries: asked }),
    ...(perTryMs === undefined ? {} : { perTryMs }),
    ...(on.length === 0 ? {} : { on }),
    ...(statuses === undefined ? {} : { statuses }),
    ...(budgetPercent === undefined ? {} : { budgetPercent }),
    ...(hedgeMs === undefined ? {} : { hedgeMs }),
  };
  return Object.keys(retry).length === 0 ? undefined : retry;
}

/** What is asked for must be able to happen. */
function checkOn({ on, perTryMs, statuses }: RetryWish, field: string): void {
  if (on.length === 0) return;
  const fields = new Fields();
  const wrong = (name: string, description: string): void => {
    fields.read(() => {
      throw invalidField(`${field}.${name}`, description);
    });
  };
  if (on.includes("timeout") && perTryMs === undefined) {
    wrong("on", "ON_TIMEOUT needs a per_try_timeout");
  }
  if (on.includes("status") && statuses.length === 0) wrong("on", "ON_STATUS needs statuses");
  if (!on.includes("status") && statuses.length > 0) {
    wrong("statuses", "count only with ON_STATUS in `on`");
  }
  fields.throwIfWrong();
}

function parseStatuses(asked: readonly number[], field: string): readonly number[] | undefined {
  if (asked.length === 0) return undefined;
  if (asked.length > statusesMax) {
    throw invalidField(field, `has ${asked.length} entries; at most ${statusesMax} are allowed`);
  }
  const fields = new Fields();
  fields.readAll(asked, (status, index) => {
    if (status === 429 || (Number.isInteger(status) && status >= 500 && status <= 599)) return;
    throw invalidField(
      `${field}[${index}]`,
      `${status} is not a status that is tried again (500 to 599, and 429)`,
    );
  });
  fields.throwIfWrong();
  return [...new Set(asked)].toSorted((a, b) => a - b);
}
