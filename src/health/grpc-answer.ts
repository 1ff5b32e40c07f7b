// The messages of grpc.health.v1.Health/Check (https://github.com/grpc/grpc/blob/master/doc/health-checking.md), as octets:
// one field each way, so a probe needs neither generated code nor a gRPC client.

/** A gRPC message on the wire begins with a flag and its length. */
const prefixBytes = 5;
const serviceTag = 0x0a;
const statusTag = 0x08;

/** ServingStatus, by number. */
const statuses = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"] as const;

/** HealthCheckRequest { string service = 1; }, with its prefix. */
export function healthRequest(service: string): Buffer {
  const name = Buffer.from(service);
  const length = varint(name.length);
  const message =
    name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.of(serviceTag), length, name]);
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/**
 * The status in HealthCheckResponse { ServingStatus status = 1; }: its name, or its number when it is none of ours; undefined: these
 * octets are no such message.
 */
export function servingStatus(octets: Buffer): string | undefined {
  if (octets.length < prefixBytes || octets[0] !== 0) return undefined;
  const end = prefixBytes + octets.readUInt32BE(1);
  if (octets.length < end) return undefined;
  let status = 0;
  for (let at = prefixBytes; at < end; ) {
    // Nobody else's fields are known here: the message has had this one since it exists.
    if (octets[at] !== statusTag) return undefined;
    const value = octets[at + 1];
    if (value === undefined || value > 0x7f || at + 2 > end) return undefined;
    status = value;
    at += 2;
  }
  return statuses[status] ?? `status ${status}`;
}

/** Names of the codes that a health service answers with (grpc/status.md); others by number. */
const codes: Readonly<Record<number, string>> = {
  1: "CANCELLED",
  2: "UNKNOWN",
  4: "DEADLINE_EXCEEDED",
  5: "NOT_FOUND",
  7: "PERMISSION_DENIED",
  8: "RESOURCE_EXHAUSTED",
  12: "UNIMPLEMENTED",
  13: "INTERNAL",
  14: "UNAVAILABLE",
  16: "UNAUTHENTICATED",
};

/** Of the grpc-status field. */
export function grpcCodeName(code: string): string {
  return codes[Number(code)] ?? `status ${/^\d{1,3}$/.test(code) ? code : "that is no number"}`;
}

function varint(value: number): Buffer {
  const octets: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) octets.push((rest & 0x7f) | 0x80);
  octets.push(rest);
  return Buffer.from(octets);
}
