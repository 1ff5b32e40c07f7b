// How the end of a message body is found (RFC 9112 section 6.3).

export const Framing = {
  /** No body. */
  None: 0,
  /** `contentLength` octets; it may be 0. */
  Length: 1,
  Chunked: 2,
  /** Everything until the connection ends; answers only. */
  UntilClose: 3,
} as const;
export type Framing = (typeof Framing)[keyof typeof Framing];
