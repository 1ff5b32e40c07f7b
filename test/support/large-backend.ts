// A backend with something to read: `/small` is two bytes, `/huge` more than the kernel's buffers take, everything else
// a megabyte; a request's body is read to its end first.

import { type PatientServer, startPatientServer } from "./patient-server.ts";

const huge = Buffer.alloc(16 * 1024 * 1024, "x");
const megabyte = huge.subarray(0, 1024 * 1024);
const answers: Readonly<Record<string, string | Buffer>> = { "/small": "ok", "/huge": huge };

export async function startLargeBackend(): Promise<PatientServer> {
  return await startPatientServer((request, response) => {
    request.resume();
    request.on("error", () => response.destroy());
    request.on("end", () => response.end(answers[request.url ?? ""] ?? megabyte));
  });
}
