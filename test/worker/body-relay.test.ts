// Goal: a body comes out as it went in, whatever the framing on either side and however it was cut;
// nothing that stands behind it comes out; a broken one never looks complete.
// Method: every pair of framings, cut at every place, against bodies written by hand.

import { describe, expect, test } from "vitest";
import { Framing } from "../../src/protocol/framing.ts";
import { BodyRelay, flush } from "../../src/worker/body-relay.ts";
import { ByteWriter } from "../../src/worker/byte-writer.ts";
import { RecordingStream } from "../support/recording-stream.ts";

const body = "hello, world";

/** How each framing looks on the wire. */
const wire: Readonly<Record<number, string>> = {
  [Framing.Length]: body,
  [Framing.Chunked]: "5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\nT: 1\r\n\r\n",
  [Framing.UntilClose]: body,
};

interface Relayed {
  readonly text: string;
  readonly relay: BodyRelay;
  /** Where the relay stopped, in the wire's bytes. */
  readonly stopped: number;
}

function relayAll(
  wireText: string,
  framingIn: number,
  framingOut: number,
  cuts: number[],
): Relayed {
  const relay = new BodyRelay();
  const stream = new RecordingStream();
  const writer = new ByteWriter(64);
  relay.begin(framingIn, framingIn === Framing.Length ? body.length : -1, framingOut);
  const bytes = Buffer.from(wireText, "latin1");
  let at = 0;
  for (const end of [...cuts, bytes.length]) {
    at = relay.feed(bytes, at, end, writer, stream);
    flush(writer, stream);
    if (at < end) break;
  }
  return { text: stream.text, relay, stopped: at };
}

function unchunked(text: string): string {
  let plain = "";
  for (let at = 0; ; ) {
    const line = text.indexOf("\r\n", at);
    const size = Number.parseInt(text.slice(at, line), 16);
    if (size === 0) {
      expect(text.slice(line)).toBe("\r\n\r\n");
      return plain;
    }
    plain += text.slice(line + 2, line + 2 + size);
    expect(text.slice(line + 2 + size, line + 4 + size)).toBe("\r\n");
    at = line + 4 + size;
  }
}

const pairs = [
  [Framing.Length, Framing.Length],
  [Framing.Chunked, Framing.Chunked],
  [Framing.Chunked, Framing.UntilClose],
] as const;

describe.for(pairs)("a body with framing %i in and %i out", ([framingIn, framingOut]) => {
  const text = wire[framingIn]!;

  test("comes out whole, cut at every place", () => {
    for (let cut = 0; cut <= text.length; cut++) {
      const { text: out, relay } = relayAll(text, framingIn, framingOut, [cut]);
      expect(relay.done).toBe(true);
      expect(relay.bytes).toBe(body.length);
      expect(framingOut === Framing.Chunked ? unchunked(out) : out).toBe(body);
    }
  });

  test("is not done one byte before its end", () => {
    expect(relayAll(text.slice(0, -1), framingIn, framingOut, []).relay.done).toBe(false);
  });

  test("ends where it ends: what follows is left alone", () => {
    const { relay, stopped, text: out } = relayAll(`${text}GET /`, framingIn, framingOut, []);
    expect(relay.done).toBe(true);
    expect(stopped).toBe(text.length);
    expect(out).not.toContain("GET");
  });
});

describe("a message without a body", () => {
  test("lets nothing through", () => {
    for (const framing of [Framing.None, Framing.Length]) {
      const relay = new BodyRelay();
      const stream = new RecordingStream();
      const writer = new ByteWriter(64);
      relay.begin(framing, 0, framing);
      expect(relay.done).toBe(true);
      expect(relay.feed(Buffer.from("POISON"), 0, 6, writer, stream)).toBe(0);
      expect(stream.text).toBe("");
      expect(writer.length).toBe(0);
    }
  });
});

describe("a body that ends with its connection", () => {
  test("is complete when the peer ends, and gets a last chunk", () => {
    const relay = new BodyRelay();
    const stream = new RecordingStream();
    const writer = new ByteWriter(64);
    relay.begin(Framing.UntilClose, -1, Framing.Chunked);
    relay.feed(Buffer.from(body), 0, body.length, writer, stream);
    expect(relay.done).toBe(false);
    expect(relay.finish(writer)).toBe(true);
    flush(writer, stream);
    expect(unchunked(stream.text)).toBe(body);
  });

  test("is not complete when it had a length or chunks that are missing", () => {
    for (const framing of [Framing.Length, Framing.Chunked]) {
      const relay = new BodyRelay();
      const writer = new ByteWriter(64);
      relay.begin(framing, 10, Framing.Chunked);
      expect(relay.finish(writer)).toBe(false);
      expect(writer.length).toBe(0);
      expect(relay.done).toBe(false);
    }
  });
});

describe("a broken chunked body", () => {
  test("says why, and its end is never written", () => {
    const { relay, text } = relayAll(
      "5\r\nhelloX\r\n0\r\n\r\n",
      Framing.Chunked,
      Framing.Chunked,
      [],
    );
    expect(relay.error).not.toBe("");
    expect(relay.done).toBe(false);
    expect(text).not.toContain("0\r\n\r\n");
  });

  test("does not spoil the next body of the same connection", () => {
    const relay = new BodyRelay();
    const stream = new RecordingStream();
    const writer = new ByteWriter(64);
    relay.begin(Framing.Chunked, -1, Framing.UntilClose);
    relay.feed(Buffer.from("zz"), 0, 2, writer, stream);
    expect(relay.error).not.toBe("");
    relay.begin(Framing.Chunked, -1, Framing.UntilClose);
    expect(relay.error).toBe("");
    const next = Buffer.from("2\r\nok\r\n0\r\n\r\n");
    expect(relay.feed(next, 0, next.length, writer, stream)).toBe(next.length);
    flush(writer, stream);
    expect(stream.text).toBe("ok");
  });
});

describe("gathering", () => {
  test("a small body leaves in one write with the head before it", () => {
    const relay = new BodyRelay();
    const stream = new RecordingStream();
    const writer = new ByteWriter(64);
    relay.begin(Framing.Length, body.length, Framing.Chunked);
    writer.text("HEAD\r\n\r\n");
    relay.feed(Buffer.from(body), 0, body.length, writer, stream);
    expect(stream.writes).toEqual([]);
    flush(writer, stream);
    expect(stream.writes.length).toBe(1);
  });

  test("a large piece is sent from where it was received, behind what was gathered", () => {
    const relay = new BodyRelay();
    const stream = new RecordingStream();
    const writer = new ByteWriter(64);
    const large = "x".repeat(40_000);
    relay.begin(Framing.Length, large.length, Framing.Length);
    writer.text("HEAD\r\n\r\n");
    relay.feed(Buffer.from(large), 0, large.length, writer, stream);
    flush(writer, stream);
    expect(stream.writes).toEqual(["HEAD\r\n\r\n", large]);
  });
});
