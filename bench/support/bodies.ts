// The sizes of bodies that are measured, and where the backend has them.

/** Of every answer at a path that is not in `bodies`. */
export const smallBytes = 100;

/** Path -> bytes of the answer. */
export const bodies: Readonly<Record<string, number>> = {
  "/1k": 1024,
  "/64k": 64 * 1024,
  "/1m": 1024 * 1024,
};

/** Where the backend takes a request's whole body before it answers, with `smallBytes`. */
export const uploadPath = "/upload";
