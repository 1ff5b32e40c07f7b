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
/** Services with metrics of their own: 16 of them add some two hundred series to a node's. */
export const metricsServicesMax = 16;
/** How often a service is looked at whose backends come back, or get more, by time alone, in ms. */
export const serviceUpkeepMs = 100;
/** Probes of backends that one node has under way at once; more wait for their turn. Stuck backends hold theirs for their whole timeout (1 s): 10,000 of them still get one each 10 s. */
export const probesInFlightMax = 1_000;
/** Of the file descriptors, probes get 1 of this many: a part of what is kept for everything but clients. */
export const probesDescriptorsShare = 40;
/** Probes under way that a node allows itself however few descriptors it has. */
export const probesInFlightMin = 16;
/** Backends that are probed at once when many become known together; the others are spread over their interval. */
export const probesAtOnceMax = 100;
/** Bytes that a probe reads, of a head or of a body, before it gives up: whatever tells of health is in the first page. */
export const probeBytesMax = 64 * 1024;
/** Interim answers (1xx) that a probe skips. */
export const probeInterimAnswersMax = 10;
/** A probe's end that is noticed later than this, in ms, is looked at once more: the thread stood still, and the answer may be there unread. */
export const probeLateMs = 50;
/** Probes that fall due within this time begin together, in ms: of 1,000 a second each costs a third less. */
export const probeTickMs = 10;
/** JavaScript heap of the thread that probes, in MiB: 100,000 checked backends take some 60. One that needs more ends, and is replaced. */
export const proberHeapMebibytesMax = 512;
/** Before a prober that died is replaced for the second time, in ms; doubled each further time. */
export const proberRestartMsMin = 250;
/** And no longer than this. */
export const proberRestartMsMax = 10_000;
/** Changes of health that are written to the log line by line when they come together; the others are counted in one more line. */
export const verdictsLoggedMax = 20;
/** One tick of the wheel for a route's short times, in ms: they end at most two ticks late. */
export const shortTickMs = 5;
/** The longest time that this wheel measures, in ms; a longer one can do with the coarse wheel's tick of a tenth of a second. */
export const shortTimesMsMax = 5_000;
/** Characters of the retries of one request that its line in the access log tells. */
export const retriesToldMax = 400;
