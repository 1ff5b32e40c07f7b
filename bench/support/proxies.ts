// The proxies that are compared, by the name that --proxies and the questions use. One line each: who starts it, and how.

import { crosspoint } from "./crosspoint-proxy.ts";
import { haproxy } from "./haproxy-proxy.ts";
import { nginx } from "./nginx-proxy.ts";
import { nodePeer } from "./node-peer.ts";
import type { Contender } from "./proxy.ts";

export const contenders = {
  haproxy: haproxy({ splices: false }),
  "haproxy-splice": haproxy({ splices: true }),
  nginx,
  crosspoint: crosspoint({ io: "auto", accessLog: true }),
  "crosspoint-unlogged": crosspoint({ io: "auto", accessLog: false }),
  "crosspoint-epoll": crosspoint({ io: "epoll", accessLog: true }),
  "crosspoint-net": crosspoint({ io: "net", accessLog: true }),
  "http-proxy": nodePeer("http-proxy"),
  "fast-proxy": nodePeer("fast-proxy"),
  "@fastify/http-proxy": nodePeer("@fastify/http-proxy"),
} as const satisfies Readonly<Record<string, Contender>>;

export type ContenderName = keyof typeof contenders;

/** One HAProxy, one nginx, and ours: as it is delivered, without its access log, and on sockets of Node. */
export const httpContenders: readonly ContenderName[] = [
  "haproxy",
  "nginx",
  "crosspoint",
  "crosspoint-unlogged",
  "crosspoint-net",
];

/** Where many bytes go through: HAProxy also as it moves them without looking; one access-log line more or less is nothing. */
export const bulkContenders: readonly ContenderName[] = [
  "haproxy",
  "haproxy-splice",
  "nginx",
  "crosspoint",
  "crosspoint-net",
];
