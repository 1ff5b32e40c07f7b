// Texts that look like heads, mostly: good pieces and bad ones, in an order that is often right.

import * as fc from "fast-check";

const startLines = fc.constantFrom(
  "GET / HTTP/1.1\r\n",
  "POST /a?b=c HTTP/1.1\r\n",
  "GET http://a.test/x HTTP/1.1\r\n",
  "GET http://a.test?q HTTP/1.0\r\n",
  "OPTIONS http://a.test HTTP/1.1\r\n",
  "OPTIONS * HTTP/1.1\r\n",
  "GET / HTTP/1.0\r\n",
  "GET / HTTP/1.2\r\n",
  "CONNECT a.test:443 HTTP/1.1\r\n",
  "get /\\ HTTP/1.1\r\n",
  "HTTP/1.1 200 OK\r\n",
  "HTTP/1.0 204\r\n",
  "HTTP/1.1 101 \r\n",
  "HTTP/1.1 426 \r\n",
  "\r\n",
);
const lines = fc.constantFrom(
  "Host: a.test\r\n",
  "host:a.test:80\r\n",
  "Host: b.test\r\n",
  "Content-Length: 5\r\n",
  "Content-Length: 5\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: gzip, chunked\r\n",
  "Connection: close, x-a\r\n",
  "Connection: upgrade\r\n",
  "Upgrade: foo\r\n",
  "Upgrade: websocket\r\n",
  "Expect: 100-continue\r\n",
  "X-A: 1\r\n",
  "X-A: \t\r\n",
  "X_Forwarded_For: 1\r\n",
  "Cookie: a=b\r\n",
  "Via: 1.1 a\r\n",
  "Max-Forwards: 1\r\n",
  "Max-Forwards: x\r\n",
  " folded\r\n",
  "X : y\r\n",
  "X: a\rb\r\n",
  "X: y\n",
  "X: \u0000\r\n",
  "X: caf\u00e9\r\n",
);
const noise = fc.string({
  unit: fc.constantFrom("\r", "\n", " ", ":", "a", "/", "\t", "\0", "\x7f", "\xff", "0", ";", ","),
  maxLength: 6,
});

/** A head, whole or not, right or not. */
export const headLike: fc.Arbitrary<string> = fc
  .tuple(
    fc.oneof({ weight: 9, arbitrary: startLines }, { weight: 1, arbitrary: noise }),
    fc.array(fc.oneof({ weight: 12, arbitrary: lines }, { weight: 1, arbitrary: noise }), {
      maxLength: 6,
    }),
    fc.constantFrom("\r\n", "\r\n", "\r\n", "", "\r", "\n"),
    fc.oneof({ weight: 4, arbitrary: fc.constant("") }, { weight: 1, arbitrary: noise }),
  )
  .map(([start, fields, end, rest]) => start + fields.join("") + end + rest);
