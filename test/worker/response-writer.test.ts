// Goal: the head that a client gets is well-formed, keeps the backend's fields as they came, and has
// one framing, of our own making.

import { describe, expect, test } from "vitest";
import * as limits from "../../src/limits.ts";
import { Framing } from "../../src/protocol/framing.ts";
import { Method } from "../../src/protocol/method.ts";
import { ResponseHead } from "../../src/protocol/response-head.ts";
import { ByteWriter } from "../../src/worker/byte-writer.ts";
import {
  type ResponseHeadOptions,
  writeInterimHead,
  writeResponseHead,
} from "../../src/worker/response-writer.ts";

const plain: ResponseHeadOptions = {
  framing: Framing.Length,
  close: false,
  sayKeepAlive: false,
  stickyCookie: undefined,
  dateLine: undefined,
  viaLine: undefined,
};

function parsed(text: string, method: number = Method.Get) {
  const head = new ResponseHead(limits);
  const bytes = Buffer.from(text, "latin1");
  expect(head.parse(bytes, 0, bytes.length, method), head.error).toBe(bytes.length);
  return { head, bytes };
}

function write(text: string, options: Partial<ResponseHeadOptions> = {}, method?: number): string {
  const { head, bytes } = parsed(text, method);
  const writer = new ByteWriter(16);
  writeResponseHead(writer, bytes, head, { ...plain, ...options });
  return Buffer.from(writer.bytes.subarray(0, writer.length)).toString("latin1");
}

describe("the head for the client", () => {
  test("byte for byte", () => {
    expect(
      write(
        "HTTP/1.0 200 Fine  thanks\r\nA: 1\r\nContent-Length: 05\r\nB:2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n",
      ),
    ).toBe(
      "HTTP/1.1 200 Fine  thanks\r\nA: 1\r\nB:2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 5\r\n\r\n",
    );
  });

  test("without a reason phrase", () => {
    expect(write("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n")).toBe(
      "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n",
    );
  });

  test("leaves out what the backend said to us alone", () => {
    expect(
      write(
        "HTTP/1.1 200 OK\r\nConnection: X, close\r\nX: y\r\nKeep-Alive: a\r\nTrailer: b\r\nContent-Length: 0\r\n\r\n",
      ),
    ).toBe("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });

  test.for([
    [{ close: true }, "Connection: close\r\n"],
    [{ sayKeepAlive: true }, "Connection: keep-alive\r\n"],
    [{ close: true, sayKeepAlive: true }, "Connection: close\r\n"],
    [{ stickyCookie: "Set-Cookie: a=b\r\n" }, "Set-Cookie: a=b\r\n"],
  ] as const)("with %j", ([options, line]) => {
    expect(write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", options)).toBe(
      `HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${line}\r\n`,
    );
  });

  test("with a time and a way that it did not have", () => {
    const ways = {
      dateLine: Buffer.from("Date: now\r\n"),
      viaLine: Buffer.from("Via: 1.0 we\r\n"),
    };
    expect(write("HTTP/1.0 200 OK\r\nVia: 1.1 they\r\nContent-Length: 0\r\n\r\n", ways)).toBe(
      "HTTP/1.1 200 OK\r\nVia: 1.1 they\r\nDate: now\r\nVia: 1.0 we\r\nContent-Length: 0\r\n\r\n",
    );
  });

  test.for([
    [{}, "upgrade"],
    [{ close: true }, "close, upgrade"],
    [{ sayKeepAlive: true }, "keep-alive, upgrade"],
  ] as const)(
    "of 426, %j, says which protocol it wants, and so in Connection",
    ([options, said]) => {
      const wanted = "HTTP/1.1 426 Upgrade Required\r\nUpgrade: HTTP/2.0, foo/1\r\n";
      expect(
        write(`${wanted}Connection: X, upgrade\r\nX: y\r\nContent-Length: 0\r\n\r\n`, options),
      ).toBe(`${wanted}Content-Length: 0\r\nConnection: ${said}\r\n\r\n`);
    },
  );

  test("of 426 without Upgrade has nothing to add; Upgrade in any other answer ends here", () => {
    expect(write("HTTP/1.1 426 X\r\nContent-Length: 0\r\n\r\n")).toBe(
      "HTTP/1.1 426 X\r\nContent-Length: 0\r\n\r\n",
    );
    const advertised = "Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n";
    expect(write(`HTTP/1.1 200 OK\r\n${advertised}`)).toBe(
      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    );
  });

  test.for([
    [
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      Framing.Chunked,
      "Transfer-Encoding: chunked\r\n",
    ],
    ["HTTP/1.1 200 OK\r\n\r\n", Framing.Chunked, "Transfer-Encoding: chunked\r\n"],
    ["HTTP/1.1 200 OK\r\n\r\n", Framing.UntilClose, ""],
  ] as const)("%j framed as %i", ([text, framing, line]) => {
    expect(write(text, { framing })).toBe(`HTTP/1.1 200 OK\r\n${line}\r\n`);
  });

  test("of a message without a body passes a length on, but none for 204", () => {
    const options = { framing: Framing.None };
    expect(write("HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n", options)).toContain(
      "Content-Length: 9",
    );
    const head = write("HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n", options, Method.Head);
    expect(head).toContain("Content-Length: 9");
    expect(write("HTTP/1.1 204 X\r\nContent-Length: 9\r\n\r\n", options)).toBe(
      "HTTP/1.1 204 X\r\n\r\n",
    );
  });
});

describe("an interim head", () => {
  const interim = (text: string): string => {
    const { head, bytes } = parsed(text);
    const writer = new ByteWriter(16);
    writeInterimHead(writer, bytes, head);
    return Buffer.from(writer.bytes.subarray(0, writer.length)).toString("latin1");
  };

  test("of 103 keeps its fields and has no framing", () => {
    expect(interim("HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 4\r\n\r\n")).toBe(
      "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
    );
  });

  test("says nothing of connections, ours or the backend's", () => {
    const hop =
      "Connection: close, X\r\nX: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n" +
      "Transfer-Encoding: chunked\r\nTrailer: Y\r\nTE: trailers\r\nUpgrade: h2c\r\n";
    expect(interim(`HTTP/1.1 103 Early Hints\r\n${hop}Link: x\r\n\r\n`)).toBe(
      "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
    );
    expect(interim(`HTTP/1.1 100 Continue\r\n${hop}\r\n`)).toBe("HTTP/1.1 100 Continue\r\n\r\n");
  });

  test("of 101 says what it upgrades to", () => {
    expect(
      interim("HTTP/1.1 101 Go\r\nConnection: upgrade, X\r\nX: 1\r\nUpgrade: echo\r\nY: 2\r\n\r\n"),
    ).toBe("HTTP/1.1 101 Go\r\nY: 2\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
  });
});
