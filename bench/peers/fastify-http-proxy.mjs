// @fastify/http-proxy as a contender: its undici pool in the size that the documentation of @fastify/reply-from shows.

import httpProxy from "@fastify/http-proxy";
import fastify from "fastify";
import { address, base, targetOf, withForwardedFields } from "./routes.mjs";

const server = fastify({ logger: false, keepAliveTimeout: 300_000 });
await server.register(httpProxy, {
  upstream: base,
  undici: { connections: 128, pipelining: 1, keepAliveTimeout: 60_000 },
  preHandler: (request, reply, done) => {
    if (targetOf(request) === undefined) reply.code(404).send();
    else done();
  },
  replyOptions: { rewriteRequestHeaders: withForwardedFields },
});
await server.listen(address);
