// Copies ranges of bytes without making a view of either side, as `set` of a `subarray` would: an object for each copy.
//
// Why 64 bits as BigInt: compiled, it is a move without any object; as a float, a NaN might change its bits.

/** Up to so many bytes `copyShort` is cheaper than a call, which costs 30 ns. */
export const shortBytesMax = 160;

const copyRange = Buffer.prototype.copy;

/** Copies source[start..end) to target[at..], where there is room. */
export function copyBytes(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): void {
  copyRange.call(source, target, at, start, end);
}

/** Copies `count` bytes, `shortBytesMax` at most for it to be cheap. The ranges do not overlap. */
export function copyShort(
  target: DataView,
  at: number,
  source: DataView,
  start: number,
  count: number,
): void {
  let i = 0;
  for (const last = count - 8; i <= last; i += 8) {
    target.setBigUint64(at + i, source.getBigUint64(start + i, true), true);
  }
  if (i === count) return;
  if (count >= 8) {
    // The last eight, of which some are there already.
    const tail = count - 8;
    target.setBigUint64(at + tail, source.getBigUint64(start + tail, true), true);
    return;
  }
  for (; i < count; i++) target.setUint8(at + i, source.getUint8(start + i));
}

/** The views of the arrays that were asked for last: nearly all copies come from the same few buffers. */
const known: { bytes: Uint8Array; view: DataView }[] = [];
const knownMax = 4;
let replaced = 0;

/** A view of the same bytes; the same object while few arrays take turns. */
export function viewOf(bytes: Uint8Array): DataView {
  for (let i = 0; i < known.length; i++) {
    const entry = known[i]!;
    if (entry.bytes === bytes) return entry.view;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (known.length < knownMax) known.push({ bytes, view });
  else known[replaced++ % knownMax] = { bytes, view };
  return view;
}
