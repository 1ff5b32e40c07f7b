// Every bound, with its unit and its source. Other files receive values; tidy.test.ts checks that each is used.

import { assert } from "./model/errors.ts";

export * from "./limits-balancing.ts";

/** What a limit is that is set to none. */
export const unlimited = Number.MAX_SAFE_INTEGER;
/** Bytes of request line and fields before 431. Node's own default (--max-http-header-size) is 16 KiB. */
export const headBytesMax = 16 * 1024;
/** Fields in one head before 431. Apache's LimitRequestFields default is 100; nginx has none. */
export const headFieldsMax = 128;
/** Bytes of a request target before 414. RFC 9110 section 4.1 asks for at least 8000. */
export const targetBytesMax = 8 * 1024;
/** Bytes of a request's body before 413. HAProxy and Envoy have no such limit; nginx's client_max_body_size is 1 MiB. */
export const bodyBytesMax = unlimited;
/** Bytes of a body's trailer section before 431: half a head's; what is in it goes nowhere. */
export const trailerBytesMax = 8 * 1024;
/** Fields in a body's trailer section before 431: half a head's. */
export const trailerFieldsMax = 64;
/** Bytes per second that a request's body must bring, or a client that keeps us waiting must take of its answer, on average. Kestrel's MinRequestBodyDataRate and MinResponseDataRate are 240. */
export const bodyRateMin = 240;
/** Time until that average counts, in ms. Kestrel's grace period is 5 s. */
export const bodyRateGraceMs = 5_000;
/** How often a body that is under way is looked at for its rate, in ms; Kestrel's heartbeat is 1 s. */
export const bodyRateLookMs = 1_000;
/** Time for a whole request, from the end of its head to the end of its answer, in ms. HAProxy and nginx have no such limit; Envoy's route timeout is 15 s. */
export const requestMsMax = unlimited;
/** Requests on one connection; the last answer says that it ends. HAProxy has no such limit; nginx's keepalive_requests is 1000. */
export const requestsPerConnectionMax = unlimited;
/** Client connections of one node, all listeners and workers together; what the file descriptors allow when less, as HAProxy derives its global maxconn. */
export const connectionsPerNodeMax = unlimited;
/** Client connections of one listener, all workers together; those of the node when none, as with HAProxy's maxconn of a frontend. */
export const connectionsPerListenerMax = unlimited;
/** Client connections from one address (IPv6: /64), all workers together. HAProxy, nginx and Envoy have no such limit: a thousand people may share one address. */
export const connectionsPerAddressMax = unlimited;
/** Upgraded connections of one node. HAProxy, nginx and Envoy count them with all the others. */
export const upgradedConnectionsMax = unlimited;
/** Idle pooled connections to backends of one worker; fewer when the file descriptors do not suffice. */
export const upstreamIdleMax = 65_536;
/** Clients and routes whose rates a node counts at the same time, 8 bytes each, in a power of two; whoever comes on top is let through uncounted. A bucket that is full again is given to the next. */
export const rateBucketsMax = 131_072;
/** Share of the file descriptors that is kept for everything but clients and backends: 1 of this many. */
export const descriptorsReservedShare = 20;
/** File descriptors that are kept so at least: stores, logs, API calls, watches of threads. */
export const descriptorsReservedMin = 256;
/** Share of the file descriptors for idle connections to backends: 1 of this many. HAProxy closes them from a quarter on (tune.pool-high-fd-ratio). */
export const descriptorsIdleShare = 5;
/** File descriptors where the system does not say: what many a system gives. */
export const descriptorsUnknown = 1_024;
/** Listeners that are counted each for themselves, in the order in which they came; further ones only with the node. */
export const listenersCountedMax = 8_192;
/** A worker without a connection to make room with looks again after this, in ms: looking takes a walk over all of them. */
export const roomLookMs = 100;
/** Time for a whole request head, from its first byte, in ms, before 408. nginx's client_header_timeout is 60 s; flynn's 1 min; HAProxy's guides say 10 s. */
export const requestHeadMsMax = 10_000;
/** Time for a whole PROXY protocol preface, from the connection's beginning, in ms. HAProxy's doc/proxy-protocol.txt asks for at least 3 s, so that a lost packet can be sent again. */
export const prefaceMsMax = 5_000;
/** Bytes of a PROXY protocol preface of version 2, records such as a client's certificate included. HAProxy takes what fits its buffer of 16 KiB. */
export const prefaceBytesMax = 16 * 1024;
/** Idle time of a downstream keep-alive connection, in ms. nginx's keepalive_timeout is 75 s, AWS ELB's 60 s. */
export const downstreamIdleMsMax = 60_000;
/** Time without a byte in either direction while a body streams, in ms. AWS ELB's idle timeout is 60 s. */
export const bodyIdleMsMax = 60_000;
/** Time until the head of the answer, in ms, before 504. nginx's proxy_read_timeout is 60 s. */
export const responseHeadMsMax = 60_000;
/** Time for one dial, in ms (flynn's router: 1 s). */
export const connectMsMax = 1_000;
/** Tries for one request, those where nothing was sent and retries together (flynn's router: 4). */
export const connectTriesMax = 4;
/** Bytes of the body of an idempotent request that are kept until its answer begins, for sending it again when the connection breaks. */
export const replayBodyBytesMax = 16 * 1024;
/** Idle time after which a connection gets no request that could not be repeated on another, in ms: far below the shortest time that common servers keep one (gunicorn: 2 s). */
export const unrepeatableIdleMsMax = 1_000;
/** Interim answers (1xx) to one request before 502. Go's client takes 5; a backend that says 102 every second for a minute needs more. */
export const interimAnswersMax = 100;
/** Bytes of a request's body up to which it is copied for a mirror: with heads, what one worker holds of copies stays below 10 MiB. */
export const mirrorBodyBytesMax = 64 * 1024;
/** Copies for mirrors that a worker has under way; further requests get none. */
export const mirrorsInFlightMax = 100;
/** Time for a copy, from its request's head to the end of an answer that nobody gets, in ms: a mirror that hangs frees its places. */
export const mirrorMsMax = 10_000;
/** Idle time after which a pooled upstream connection is closed, in ms. */
export const upstreamIdleMsMax = 4_000;
/** The idle time we ask backends to allow at least, in ms; see docs/OPERATING.md. Node's default is 5 s. */
export const backendKeepAliveMsMin = 5_000;
/** Idle pooled connections per backend and worker: fewer than are busy at times means dialling at every turn. Envoy allows 1,024 to a cluster, HAProxy any number. */
export const upstreamIdlePerBackendMax = 1_024;
/** Exchanges that a worker keeps for requests to come, some 3 KiB each: as many as a busy one has under way; what is beyond is made anew. */
export const exchangesIdleMax = 256;
/** Time an upgraded or TCP connection may be silent in both directions, in ms: one hour and a bit, so that hourly pings pass. */
export const tunnelIdleMsMax = 3_700_000;
/** The same once one side has ended its direction, in ms: it may wait for an answer, or be gone. As long as Linux keeps a socket for the end of a peer's direction (tcp_fin_timeout, 60 s); HAProxy has `timeout client-fin` and `timeout server-fin` for it. */
export const tunnelHalfClosedMsMax = 60_000;
/** Time without a byte of its answer after an HTTP client ended its side, in ms: most have left by that, a few wait. nginx, Envoy, Go and Node wait for nobody. */
export const clientEndedMsMax = 5_000;
/** How often a request may have passed this router, as its Via tells, before 508: more than the tiers (edge, region, host) of one site that share a name. */
export const viaNamedMax = 5;
/** Bytes queued towards a slow reader before the other side is paused; what one read brings may come on top. With both, a stalled connection stays below 96 KiB. */
export const sendQueueBytesHigh = 16 * 1024;
/** Bytes that the kernel takes of what it cannot send yet, per connection (TCP_NOTSENT_LOWAT); what one send brings may come on top. Without it a reader that takes nothing fills tcp_wmem, 4 MiB; below 32 KiB nothing is won, as one send may be as large. HAProxy has tune.notsent-lowat.client for it, off by default; the kernel's own advice is 128 KiB or less (Linux commit c9bee3b7). */
export const unsentBytesMax = 32 * 1024;
/** Accept queue of every listener; the kernel caps it at net.core.somaxconn. */
export const listenBacklog = 4096;
/** A worker writes its heartbeat at least this often, in ms. */
export const heartbeatEveryMs = 250;
/** Silence after which a worker is replaced, in ms: far beyond any pause of a healthy event loop. */
export const workerSilentMsMax = 5_000;
/** A call without a deadline waits this long for workers, in ms. */
export const waitMsDefault = 10_000;
/** The longest duration a setting takes, in ms: what a timer of Node can wait (2^31 - 1). */
export const durationMsMax = 2 ** 31 - 1;
/** Worker threads of one node: more than the cores of any machine we know of is a slip of the fingers. */
export const workersMax = 512;
/** How long the command waits for an answer when no --timeout says so, in ms: what the node would wait. */
export const clientTimeoutMsDefault = waitMsDefault;
/** How long a completion waits for names from the node, in ms: longer feels like a hang. */
export const completionTimeoutMs = 500;
/** Names fetched for one completion; nobody reads more. */
export const completionNamesMax = 1_000;
/** Changes that `apply --in-parts` sends at once; fewer where they are large (`applyPartBytes`). */
export const applyPartChanges = 1_000;
/** Bytes of what `apply --in-parts` sends at once: with what frames them less than `rpcRequestBytesMax`. */
export const applyPartBytes = 3 * 1024 * 1024;
/** Bytes of one answer that the command accepts: a page or the difference of a large apply. */
export const clientMessageBytesMax = 256 * 1024 * 1024;
/** Entries the command asks for per page of a list. */
export const clientPageSize = 1_000;
/** Characters of the node's own log that wait while standard error takes none; what comes on top is dropped. */
export const logWaitingCharactersMax = 1024 * 1024;
/** Bytes of access-log lines a worker gathers before it hands them over: some hundred lines, and one message instead of each. */
export const accessLogPageBytes = 512 * 1024;
/** Pages of access-log lines per worker: what waits for a slow disk; when all are full, lines are dropped and counted. */
export const accessLogPagesMax = 8;
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
/** Characters of JSON written in one turn of the event loop: well under a millisecond's work. */
export const jsonPieceCharacters = 64 * 1024;
/** Time for a whole request to the admin port, and for a reader to take some of the answer, in ms. */
export const adminRequestMsMax = 10_000;
/** Revisions that a store keeps for watchers that come back, and for rollback. etcd takes a raft snapshot every 10,000 to 100,000 entries (--snapshot-count). */
export const historyRevisionsMax = 10_000;
/** Changes in those revisions, all together: some 100 MB on disk. The newest revision is kept whatever its size. */
export const historyChangesMax = 200_000;
/** Changes kept in memory for watchers that keep up; a slower one reads its place in the history from disk. */
export const recentChangesMax = 4_096;
/** Writes whose request id a store remembers, so that the same call again has no second effect. */
export const requestsKeptMax = 10_000;
/** Bytes that SQLite's log keeps after a large write was moved to the main file; ordinary writes need 4 MiB (its wal_autocheckpoint of 1000 pages). */
export const storeLogBytesKept = 16 * 1024 * 1024;
/** A TTL timer this late, in ms, means that the process stood still and heard no renewal: the TTL starts again. */
export const leaseLateMsMax = 1_000;
/** Time until an expiry that the store refused is tried again, in ms. */
export const leaseRetryMs = 1_000;
/** A deadline further away than this counts as this, in ms: no timer of Node runs longer than 2^31 - 1 ms. */
export const waitMsMax = 3_600_000;
/** A wait ends at most this long before the client's deadline, in ms, so that the answer still arrives: a round trip across a continent and a busy event loop. */
export const answerMarginMsMax = 250;
/** Mutations that wait for their turn in one node before RESOURCE_EXHAUSTED: about a second of SQLite commits. */
export const writesQueuedMax = 4_096;
/** How often a write is planned anew after losing a race against other writers, before ABORTED: among five that never pause, one in a million loses 60 in a row. */
export const commitTriesMax = 200;
/** A write that has lost this many races pauses no more: the older ones go first. */
export const commitPausesMax = 8;
/** Changes in one ApplyChanges. The answer holds each route before and after: 5,000 of 200 bytes each fill half of the 4 MiB that gRPC clients accept. */
export const changesPerRequestMax = 5_000;
/** Characters of a request_id; a UUID has 36. */
export const requestIdCharactersMax = 128;
/** Entries of a page that names no size, and of the largest one. AIP-158 asks for both; Google's APIs commonly stop at 1,000. */
export const pageSizeDefault = 100;
/** See pageSizeDefault. */
export const pageSizeMax = 1_000;
/** Bytes after which a page ends early, so that it stays below the 4 MiB that gRPC clients accept. */
export const pageBytesMax = 2 * 1024 * 1024;
/** Characters of a page token: the longest key and the kind, in base64. */
export const pageTokenCharactersMax = 1_024;
/** Characters of a strange key in a page token; each may take three bytes, and base64 makes four of three. */
export const pageTokenKeyCharactersMax = 128;
/** Names of routes listed beside one backend; a service may answer for 100,000. */
export const backendRoutesListedMax = 100;
/** Shortest TTL of a backend, in ms: its owner must manage several renewals in it. */
export const backendTtlMsMin = 1_000;
/** Longest TTL of a backend, in ms: a day; whoever needs longer registers without one. */
export const backendTtlMsMax = 86_400_000;
/** Watch streams of one node. */
export const watchesMax = 1_000;
/** A watcher that takes nothing for this long, in ms, is ended with RESOURCE_EXHAUSTED. etcd and Envoy use keep-alives of 20 to 60 s for the same purpose. */
export const watchStalledMsMax = 30_000;
/** Bytes of one gRPC request; the default of every gRPC library is 4 MiB. */
export const rpcRequestBytesMax = 4 * 1024 * 1024;
/** Concurrent calls on one gRPC connection; grpc-js announces 2^32 - 1 unless told. */
export const rpcCallsPerConnectionMax = 1_000;
/** Silence after which a gRPC client is pinged, in ms; grpc's A8 proposes no less than 10 s. */
export const rpcKeepAliveEveryMs = 60_000;
/** Time for the answer to that ping, in ms (gRPC's default). */
export const rpcKeepAliveAnswerMsMax = 20_000;
/** A gRPC connection without calls is closed after this, in ms. */
export const rpcIdleMsMax = 600_000;
/** Wrong fields named in one answer, so that its trailer stays below the 8 KiB of fields that gRPC clients take. */
export const violationsAnsweredMax = 10;
/** Characters of an error's message, for the same reason. */
export const errorMessageCharactersMax = 512;
/** Characters of one text in an error's details, for the same reason. */
export const errorDetailCharactersMax = 256;
/** Changes in one piece of a snapshot: a worker applies a piece in a turn of a few ms, so that requests run in between. */
export const snapshotPieceChangesMax = 2_000;
/** Changes the publisher remembers for deltas; a worker further behind gets a snapshot. Twice the largest ApplyChanges. */
export const changeLogChangesMax = 10_000;
/** Time a worker has from its start until it serves its first snapshot, in ms. 100,000 routes take under 3 s. */
export const workerStartMsMax = 15_000;
/** First pause before a worker that failed again is replaced, in ms; the first replacement comes at once. */
export const workerRestartMsMin = 50;
/** Longest pause before a worker is replaced, in ms; the pauses double. */
export const workerRestartMsMax = 2_000;
/** Service after which a worker's failure counts as the first again, in ms. */
export const workerSettledMs = 5_000;
/** Time for a terminated thread to be gone before its sockets are lent again, in ms; it takes some 10 ms. */
export const workerExitMsMax = 2_000;
/** Time for a worker's answer to a question (explain, measure) whose asker sets no deadline, in ms. */
export const workerAnswerMsMax = 2_000;
/** First pause before a port that somebody else has is tried again, in ms. */
export const portRetryMsMin = 500;
/** Longest pause before a port that somebody else has is tried again, in ms; the pauses double. */
export const portRetryMsMax = 30_000;
/** First pause before the store is read again after a failure, in ms. */
export const sourceRetryMsMin = 100;
/** Longest pause before the store is read again after a failure, in ms; the pauses double. */
export const sourceRetryMsMax = 5_000;
/** A watch of the store that lasts this long works, also when nothing changes, in ms: a refusal takes a round trip. */
export const sourceSettledMs = 1_000;
/** How long a node's start waits for the first set of each discovery, in ms: a list from an etcd nearby takes some 10 ms; one that is away must not keep routes from being served. */
export const discoveryStartMsMax = 2_000;
/** Pause between two updates of the workers from discovery, in ms: a backend that flaps makes at most 20 a second. */
export const discoveryUpdateEveryMs = 50;
/** How often the store is asked which entries it set aside, while it changes, in ms. */
export const rejectedLookEveryMs = 1_000;
/** Entries of one change that are named in the log as set aside; of more only the number. */
export const entriesLoggedMax = 50;
// We must close first: a backend that closes an idle connection while we are
// writing to it turns a healthy request into a 502.
assert(
  upstreamIdleMsMax < backendKeepAliveMsMin,
  "we close idle upstream connections before the backend does",
);
assert(unrepeatableIdleMsMax <= upstreamIdleMsMax, "some idle connections serve every request");
assert(heartbeatEveryMs * 4 < workerSilentMsMax, "a worker may miss some heartbeats");
assert(accessLogLineBytesMax * 2 <= accessLogPageBytes, "a page holds more than one line");
assert(targetBytesMax < headBytesMax, "a long target is 414 before it is 431");
/** What a client may still send after its last answer before we close, in ms. nginx's lingering_timeout is 5 s. */
export const lingerMsMax = 5_000;
/** Time for the first request of a connection that was new when its worker began to leave, in ms: a round trip or two to anywhere. */
export const firstRequestMsMax = 1_000;
/** Bytes that one read of a connection may bring. libuv asks for 64 KiB. */
export const receiveBytes = 64 * 1024;
/** Pipes that a worker has at most, with 64 KiB and two descriptors each: one per direction of a tunnel that moves bulk to a slow reader. What has none is copied. */
export const pipesMax = 64;
/** Resolution of a worker's timers, in ms: a tenth of the shortest timeout we keep. */
export const timerTickMs = 100;
/** Longest time that a line of the access log waits in a worker, in ms. */
export const accessLogFlushMs = 200;
/** How long RPC calls may take to end when the node leaves, in ms: they wait for workers that still serve. */
export const rpcCloseMsMax = 1_000;
/** Backends that a discovery found are counted in the log at most this often, in ms: they may flap. */
export const discoveryTellMs = 1_000;
/** Unreadable entries of a discovery that one line of the log names; the rest is counted. */
export const unreadableLoggedMax = 10;
/** Lease of a node in a store that nodes share, in s: a node that is gone is waited for no longer than this. etcd's own tools use 10 to 60. */
export const nodeLeaseSeconds = 10;
/** First pause before a node's entry is written again after a failure, in ms; the pauses double. */
export const nodeRetryMsMin = 100;
/** Longest pause before a node's entry is written again, in ms: a tenth of its lease. */
export const nodeRetryMsMax = 1_000;
/** How long a start waits for a store that has given no list to take the node's entry, in ms: a store that hangs holds it up no longer. */
export const joinMsMax = 3_000;
/** How long a start waits for the list of a store that took the node's entry, in ms: 100,000 entries take 2 s. */
export const joinListMsMax = 10_000;
/** How often it looks meanwhile, in ms. */
export const joinPollMs = 20;
/** How long a node that announced itself waits to see that in its own watch, in ms: a round trip, or the watch stands still. */
export const nodeSeenMsMax = 2_000;
/** How long a node that ends waits for etcd to take it off the list of nodes, in ms: a lease of its own does that too, later. */
export const nodeLeaveMsMax = 500;
/** Questions of other nodes that wait for this node's workers; what comes on top is dropped, and asked again. */
export const questionsWaitingMax = 1_000;
/** Changes that a node tells the others that it does not serve, the newest: more are not waited for at once, and its entry stays small. */
export const unservedToldMax = 64;
/** Characters of why one change is not served; of several routes at least the first is told whole. */
export const unservedTextCharactersMax = 512;
/** A node that waits for others asks them again this often, in ms: a question may be lost with the node that was to answer. */
export const askAgainMs = 1_000;
/** How long a list of nodes waits for their answers, in ms; what the contract says. */
export const listNodesMsMax = 1_000;
/** Revisions counted to say how far a node is behind; one further behind is told the plain difference. */
export const lagCountedMax = 10_000;
/** Longest pause before a write that lost a race is decided anew, in ms: as long as the commit took, but no longer than one of a slow disk. */
export const commitPauseMsMax = 20;
/** First pause before an etcd that failed is asked again, in ms; the pauses double. */
export const etcdRetryMsMin = 50;
/** Longest pause before an etcd that failed is asked again, in ms: whoever comes back is followed within 5 s, the list included. */
export const etcdRetryMsMax = 3_000;
/** A watch that lasts this long works, also when nothing changes, in ms: a refusal takes a round trip. */
export const etcdWatchSettledMs = 1_000;
/** Time for a watch to be created, in ms. */
export const etcdWatchCreatedMsMax = 5_000;
/** How often what is followed is compared with a list of etcd's keys whatever the watch says, in ms. etcd 3.4.23 loses events. */
export const etcdReconcileMs = 30_000;
/** Time the watch has to bring what that list says already, in ms, before it counts as lost. */
export const etcdCatchUpMsMax = 2_000;
/** How often an etcd whose content is not believed is listed again, in ms. */
export const etcdHeldListMs = 5_000;
/** Time for the first list before what the copy on disk holds is served, in ms; at once when the list fails sooner. */
export const etcdFirstListMs = 700;
/** Revisions that a watch is asked to tell again after a list, to learn of the newest delete; etcd reads them all from its disk. */
export const etcdReplayRevisionsMax = 100_000;
/** Keys in the first page of a list: values of 1.4 MiB each still fit into one answer. */
export const etcdPageKeysFirst = 32;
/** Keys in a page of a list: some ms of decoding. etcd 3.4 walks its whole index for each page, so that small pages cost it dearly. */
export const etcdPageKeysMax = 2_000;
/** Bytes that a page of a list should have. */
export const etcdPageBytes = 2 * 1024 * 1024;
/** Lists that lose their revision to a compaction before one is given up; etcd's own compaction runs every 5 min. */
export const etcdListTriesMax = 5;
/** Keys that are compared, encoded or decoded in one turn of the event loop: well under 5 ms. */
export const etcdKeysPerTurn = 2_000;
/** The copy on disk is written at most this often, in ms; a write that took long is followed by a longer pause. */
export const etcdCopyMsMin = 2_000;
/** A copy that took so many ms to write is followed by a pause this many times as long: at most a 20th of the time. */
export const etcdCopyPauseFactor = 20;
/** Time until a copy that could not be written is tried again, in ms. */
export const etcdCopyRetryMs = 10_000;
/** Bytes of a value in etcd that are read. etcd takes requests of 1.5 MiB (--max-request-bytes); what Crosspoint writes has a few KiB. */
export const etcdValueBytesMax = 1024 * 1024;
/** Time for a call to etcd, all tries together, in ms. etcd gives up on its own after 5 s and twice its election timeout (request timed out). */
export const etcdCallMsMax = 5_000;
/** Time for one endpoint of several to answer, in ms, so that a silent one leaves time for the next. */
export const etcdAttemptMsMax = 3_000;
/** How often a link to etcd that carries a call or a watch is pinged, in ms. etcd refuses less than 5 s (--grpc-keepalive-min-time). */
export const etcdKeepAliveEveryMs = 10_000;
/** Time for the answer to that ping, in ms: a half-open link is found within 15 s. */
export const etcdKeepAliveAnswerMsMax = 5_000;
/** First pause before an endpoint of etcd is connected to again, in ms; the pauses double. */
export const etcdReconnectMsMin = 100;
/** Longest pause before an endpoint of etcd is connected to again, in ms: whoever calls meanwhile is refused. */
export const etcdReconnectMsMax = 500;
/** A name of an etcd is looked up at most this often, in ms: a member that moved is found soon. grpc-js waits 30 s. */
export const etcdLookUpEveryMs = 1_000;
/** Bytes of one answer of etcd: some 40 transactions of the largest size in one watch answer, or a page of 1 MiB values. */
export const etcdAnswerBytesMax = 64 * 1024 * 1024;
/** Characters of what a foreign program said that are repeated in a message. */
export const etcdCauseCharactersMax = 200;
/** Operations of one transaction; etcd's --max-txn-ops is 128 unless told otherwise, and counts the comparisons the same way. */
export const etcdTransactionOperationsMax = 128;
/** Bytes of one request to etcd; its --max-request-bytes is 1.5 MiB unless told otherwise. */
export const etcdRequestBytesMax = 1.5 * 1024 * 1024;
/** Parts of a write that is larger than a transaction, 1 MiB each: several ApplyChanges of the largest size, and all in one answer of a watch. */
export const etcdPartsMax = 32;
/** Operations of a transaction that unfolds such a write; room is left for the guard. */
export const etcdPieceOperationsMax = 120;
/** Bytes of keys and values in such a transaction: with what is around them still below etcd's limit. */
export const etcdPieceBytesMax = 1024 * 1024;
/** How long a write that is being unfolded may show no progress before another writer does it, in ms: many times the commit of a slow disk. */
export const unfoldQuietMs = 300;
/** How long what a writer left unfinished lies before a node that only follows finishes it, in ms; the nodes take up to twice that, so that one of them is first. */
export const unfoldLeftMsMin = 3_000;
/** Bytes of a remembered answer above which it is compressed: below it costs more than it spares. */
export const requestGzipBytesMin = 4_096;
/** Characters of the reason why an entry is set aside. */
export const rejectedReasonCharactersMax = 256;
/** Characters of such an entry's key: the longest that names anything has a prefix, a service's name and an address. */
export const rejectedKeyCharactersMax = 512;
/** Stores that one stands for by an operator's word: nodes that were away through all of these recognise it. */
export const storesReplacedMax = 32;
/** How long a write whose answer was lost is asked after, in ms: less than a call without a deadline waits, so that its caller learns the outcome. */
export const commitSettleMsMax = 4_000;
/** How long after the time to answer a commit may still settle before its caller is told that nobody knows, in ms; within answerMarginMsMax. */
export const commitLateMsMax = 100;
/** Pause between two such questions, in ms. */
export const commitSettlePauseMs = 50;
/** How long a stored write waits to be seen in this node's own watch, in ms. */
export const commitSeenMsMax = 2_000;
/** How long a used request id is known at least in a store under leases, in ms; its lease is twice as long, and a new one is made each time it passes. */
export const requestKeptMsMin = 3_600_000;
/** How often the marker of an accepted store is written anew because somebody else wrote to the store meanwhile. */
export const acceptTriesMax = 8;
