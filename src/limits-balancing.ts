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
/** Slots of a Maglev table for each backend, at least: shares are within 1 % of what they should be (Maglev, NSDI 2016, section 5.3). */
export const maglevSlotsPerMember = 100;
/** Slots of a Maglev table for the lightest backend, at least. */
export const maglevSlotsPerWeight = 10;
/** What a backend may have in flight, as a multiple of its part of what is in flight to all: 1 + ε of "Consistent Hashing with Bounded Loads" (Mirrokni et al., 2016); HAProxy's documentation recommends 1.25 to 2. */
export const boundedLoadFactor = 1.25;
/** Slots that are looked at for a backend that is usable and has room; then all backends are. */
export const ringProbesMax = 64;
/** Backends whose load is summed up for each pick, at most: of more the sum is taken every so many picks. */
export const ringSumMax = 64;
/** Share of its weight that a backend starts slowly with: Envoy's default min_weight_percent is 10. */
export const slowStartShare = 0.1;
/** Unused backends that Explain names one by one. */
export const unusedShownMax = 20;
