// How many bytes of the heap something takes, those included that were collected meanwhile; and how many collections
// that took.

import { GCProfiler, getHeapStatistics } from "node:v8";

export interface Allocated {
  readonly bytes: number;
  readonly collections: number;
}

export function allocated(work: () => void): Allocated {
  const profiler = new GCProfiler();
  profiler.start();
  let held = getHeapStatistics().used_heap_size;
  work();
  const last = getHeapStatistics().used_heap_size;
  const { statistics } = profiler.stop();
  let bytes = 0;
  for (const { beforeGC, afterGC } of statistics) {
    bytes += beforeGC.heapStatistics.usedHeapSize - held;
    held = afterGC.heapStatistics.usedHeapSize;
  }
  return { bytes: bytes + last - held, collections: statistics.length };
}
