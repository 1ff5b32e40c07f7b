// Bounds of how backends are chosen, checked, left out, tried again and emptied; a part of limits.ts, which gives them
// to everybody.

/** Times that one request is sent again after connections broke. Envoy's num_retries is 1, HAProxy's retries 3; a request that kills whoever gets it kills no more than three. */
export const retriesMax = 2;
/** Answers that buy one retry after a fresh connection broke: retries stay under 20 % of what is answered, as in Finagle, Linkerd and Envoy's retry budget. */
export const retryFreshAnswers = 5;
/** Answers that buy one retry after a connection broke that had answered before: that answer has paid for it, and an old connection tells little of its backend. */
export const retryReusedAnswers = 1;
/** Answers that a service may spend on retries before it has given any: ten retries, the least that Finagle and Linkerd allow in a second. */
export const retryReserveAnswers = 50;
/** Answers saved for retries, per worker and service: a thousand requests may be in the hands of a backend that dies. */
export const retryAnswersMax = 5_000;
/** How often a service is looked at whose backends come back, or get more, by time alone, in ms. */
export const serviceUpkeepMs = 100;
