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
/** Failures in a row after which a backend is ejected. Envoy's consecutive_5xx is 5; nginx's max_fails is 1. */
export const ejectionFailures = 5;
/** Of 100 requests, so many must have succeeded, or the backend is ejected if the others do better. HAProxy and nginx do not count so. */
export const ejectionSuccessPercent = 50;
/** Requests within the look-back before their share of successes means anything: with fewer, chance alone makes 50 % out of 75. */
export const ejectionRequestsMin = 20;
/** How far back failures and successes count, in ms, at most; at least half of it. Envoy's outlier interval is 10 s. */
export const ejectionLookBackMs = 10_000;
/** Time of a first ejection, in ms. Envoy's base_ejection_time is 30 s; nginx's fail_timeout 10 s. */
export const ejectionBaseMs = 10_000;
/** Time of the longest ejection, in ms. Envoy's max_ejection_time is 5 min. */
export const ejectionMaxMs = 300_000;
/** Time of a first ejection after a refused connection, in ms: it doubles up to the base time. Whoever refuses starts again or is gone, and costs no request, which another backend gets. */
export const ejectionRefusedMs = 1_000;
/** Ejections are shorter by up to this share, each by another: what failed together does not come back together. */
export const ejectionJitter = 0.1;
/** A request that tries a backend again and has no answer after so long, in ms, is joined by another one: it may be its client who is slow. */
export const ejectionTrialMs = 30_000;
/** How much longer the other workers leave out what one has ejected, in ms: it tries the backend first, for all of them. */
export const ejectionOthersMs = 500;
/** Failures in a row eject when chance brings so many less often than this within the look-back, at the share of failures of the other backends. */
export const ejectionChanceMax = 0.000_1;
/** A backend that is tried again and fails is left out for longer when chance makes that many failures less often than this, at the share of failures of the others. */
export const ejectionTrialChanceMax = 0.05;
/** Of another backend so many requests count half: three requests tell little of it. */
export const ejectionDoubtRequests = 4;
/** A backend's successes, as a share of what the others reach, below which it is worse than they are. */
export const ejectionWorseShare = 0.8;
/** By how many standard deviations its failures are beyond theirs then: many looks in a minute must not find one by chance. */
export const ejectionWorseDeviations = 4;
/** When the others fail this share of their requests, nothing is gained by leaving out one that fails again as soon as it is back. */
export const ejectionOthersFailingMax = 0.5;
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
/** The longest that a backend may take to drain, in ms (24 h): long-lived connections of a working day. */
export const backendDrainMsMax = 86_400_000;
/** While something drains or is paused its workers are asked what is open, so often at first, in ms: most requests are over by then. */
export const openLookMsMin = 10;
/** The same once nothing moves, in ms: a drain is answered so much later than its last connection ended, at most. */
export const openLookMsMax = 100;
/** Other nodes hear that what is open has become less at most so often, in ms; that nothing is, at once. */
export const openToldEveryMs = 500;
/** Places with something open that a node tells the others of; a node has one entry in the store, and etcd takes 1.5 MiB. */
export const openPlacesToldMax = 1_000;
/** A drain that is over and that the node which was asked does not end, another node ends after this long and up to twice as long, in ms: clocks of nodes differ by less. */
export const drainOrphanMs = 5_000;
/** When the store did not take the end of a drain it is offered again after this long, in ms. */
export const drainRetryMs = 1_000;
/** Who may wait at a paused service on each node, when the call does not say: two seconds at 500 requests/s. */
export const pauseQueueDefault = 1_000;
/** How long each may, when the call does not say, in ms: most programs start within it. */
export const pauseMsDefault = 30_000;
/** The longest that a node may say it is not ready before it accepts no more, and the longest to finish then, in ms (24 h). */
export const nodeDrainMsMax = 86_400_000;
