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
/** Time constant in which a backend's measured latency falls, in ms. Finagle's and Linkerd's default is 10 s. */
export const latencyDecayMs = 10_000;
/** A backend that answers faster counts as one that takes this long, in ms: what a turn of the event loop takes cannot be told apart. */
export const latencyMsMin = 0.1;
/** Services, backends and addresses of one node whose requests or connections are counted for limits; 512 KiB of shared memory for each worker, touched only where something is counted. */
export const inFlightRowsMax = 16_384;
/** How long a request or a TCP connection may wait for room when its service does not say, in ms; HAProxy's `timeout queue` is as its `timeout connect`, which its documents set to 5 s. */
export const queueMs = 5_000;
/** How often who waits looks whether another worker has made room, in ms; there is no such timer while nobody waits. */
export const queueLookMs = 10;
/** So much longer must another worker's first have waited before this worker leaves it a place, in ms: every change of worker costs up to a look. */
export const queueAheadMs = 50;
/** A worker that has not looked for so long is not waited for, in ms: ten looks. */
export const queueAwakeMs = 100;
/** Who waited for the end of a pause goes in steps: so many at first, per worker, then twice as many at each look. Node's listen backlog is 511: a backend that has just started is not to lose any. */
export const resumeBatchMin = 32;
/** One tick of the wheel for a route's short times, in ms: they end at most two ticks late. */
export const shortTickMs = 5;
/** The longest time that this wheel measures, in ms; a longer one can do with the coarse wheel's tick of a tenth of a second. */
export const shortTimesMsMax = 5_000;
/** Characters of the retries of one request that its line in the access log tells. */
export const retriesToldMax = 400;
