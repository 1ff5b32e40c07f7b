// http-proxy as a contender: an agent that keeps connections, forwarding fields by its own option (xfwd).

import { Agent, createServer } from "node:http";
import httpProxy from "http-proxy";
import { address, targetOf } from "./routes.mjs";

const agent = new Agent({ keepAlive: true, maxSockets: 1024, maxFreeSockets: 1024 });
const proxy = httpProxy.createProxyServer({ agent, xfwd: true });
proxy.on("error", (_error, _request, response) => {
  response.writeHead(502);
  response.end();
});
const server = createServer({ keepAliveTimeout: 300_000, noDelay: true }, (request, response) => {
  const target = targetOf(request);
  if (target === undefined) {
    response.writeHead(404);
    response.end();
  } else {
    proxy.web(request, response, { target });
  }
});
server.listen(address);
