// Every bound, with its unit and its source. Other files receive values; tidy.test.ts checks that each is used.

import { assert } from "./model/errors.ts";

/** Bytes of request line and fields before 431. Node's own default (--max-http-header-size) is 16 KiB. */
export const headBytesMax = 16 * 1024;
/** Fields in one head before 431. Apache's LimitRequestFields default is 100; nginx has none. */
export const headFieldsMax = 128;
/** Bytes of a request target before 414. RFC 9110 section 4.1 asks for at least 8000. */
export const targetBytesMax = 8 * 1024;
/** Time for a whole request head, from its first byte, in ms, before 408. nginx's client_header_timeout is 60 s; flynn's 1 min; HAProxy's guides say 10 s. */
export const requestHeadMsMax = 10_000;
/** Idle time of a downstream keep-alive connection, in ms. nginx's keepalive_timeout is 75 s, AWS ELB's 60 s. */
export const downstreamIdleMsMax = 60_000;
/** Time without a byte in either direction while a body streams, in ms. AWS ELB's idle timeout is 60 s. */
export const bodyIdleMsMax = 60_000;
/** Time until the head of the answer, in ms, before 504. nginx's proxy_read_timeout is 60 s. */
export const responseHeadMsMax = 60_000;
/** Time for one dial, in ms (flynn's router: 1 s). */
export const connectMsMax = 1_000;
/** Backends tried for one request while nothing was sent (flynn's router: 4). */
export const connectTriesMax = 4;
/** Idle time after which a pooled upstream connection is closed, in ms. */
export const upstreamIdleMsMax = 4_000;
/** The idle time we ask backends to allow at least, in ms; see docs/OPERATING.md. Node's default is 5 s. */
export const backendKeepAliveMsMin = 5_000;
/** Idle pooled connections per backend and worker. nginx's upstream keepalive is commonly 32 to 128. */
export const upstreamIdlePerBackendMax = 256;
/** Time an upgraded or TCP connection may be silent in both directions, in ms: one hour and a bit, so that hourly pings pass. */
export const tunnelIdleMsMax = 3_700_000;
/** Bytes queued towards a slow reader before the other side is paused. */
export const sendQueueBytesHigh = 64 * 1024;
/** Accept queue of every listener; the kernel caps it at net.core.somaxconn. */
export const listenBacklog = 4096;
/** A worker writes its heartbeat at least this often, in ms. */
export const heartbeatEveryMs = 250;
/** Silence after which a worker is replaced, in ms: far beyond any pause of a healthy event loop. */
export const workerSilentMsMax = 5_000;
/** A call without a deadline waits this long for workers, in ms. */
export const waitMsDefault = 10_000;
/** Bytes of access-log lines a worker gathers before it hands them over: some hundred lines, and one message instead of each. */
export const accessLogBatchBytes = 32 * 1024;
/** Bytes of one value in an access-log line; what is beyond is cut off. A target may be four times as long. */
export const accessLogFieldBytesMax = 2 * 1024;
/** Bytes of one access-log line with every byte escaped as six: longer ones are dropped and counted. */
export const accessLogLineBytesMax = 64 * 1024;
/** Bytes of access-log lines that may wait for a slow disk; what comes on top is dropped and counted. */
export const accessLogQueueBytesMax = 4 * 1024 * 1024;
/** Workers with metric series of their own; a machine with more shows sums only, so that series stay bounded. */
export const workerSeriesMax = 64;
/** Connections to the admin port; a scraper, a probe and some people need a handful. */
export const adminConnectionsMax = 64;
/** Time for a whole request to the admin port, and for a reader to take some of the answer, in ms. */
export const adminRequestMsMax = 10_000;

// We must close first: a backend that closes an idle connection while we are
// writing to it turns a healthy request into a 502.
assert(
  upstreamIdleMsMax < backendKeepAliveMsMin,
  "we close idle upstream connections before the backend does",
);
assert(heartbeatEveryMs * 4 < workerSilentMsMax, "a worker may miss some heartbeats");
assert(targetBytesMax < headBytesMax, "a long target is 414 before it is 431");
