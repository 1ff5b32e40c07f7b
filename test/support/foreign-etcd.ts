// A gRPC server that is no etcd of ours: it tells a version and knows no other call.

import { Server, ServerCredentials } from "@grpc/grpc-js";

const path = "/etcdserverpb.Maintenance/Status";

/**
 * Answers Maintenance/Status with `version` and everything else UNIMPLEMENTED; undefined: that too. The answer
 * ends it.
 */
export async function startForeignEtcd(
  version: string | undefined,
): Promise<{ readonly endpoint: string; stop(): void }> {
  const server = new Server();
  const asIs = (bytes: Buffer): Buffer => bytes;
  if (version !== undefined) {
    const text = Buffer.from(version);
    // StatusResponse { header: {} = 1, version: … = 2 }
    const answer = Buffer.concat([Buffer.from([0x0a, 0, 0x12, text.length]), text]);
    server.addService(
      {
        status: {
          path,
          requestStream: false,
          responseStream: false,
          requestSerialize: asIs,
          requestDeserialize: asIs,
          responseSerialize: asIs,
          responseDeserialize: asIs,
        },
      },
      { status: (_: unknown, reply: (error: null, bytes: Buffer) => void) => reply(null, answer) },
    );
  }
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { endpoint: `http://127.0.0.1:${port}`, stop: () => server.forceShutdown() };
}
