// Which known name was probably meant: for messages about names that nobody knows.

/**
 * The known name that is fewest edits away from `name`, when that is few enough to be a slip of the
 * fingers: at most half its length. Compares without case and without the kind of separator, so
 * "tcpPorts" finds "tcp-ports".
 */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const folded = fold(name);
  let best: string | undefined;
  let bestEdits = Math.max(1, Math.floor(folded.length / 2)) + 1;
  for (const candidate of known) {
    const edits = editDistance(folded, fold(candidate));
    if (edits >= bestEdits) continue;
    best = candidate;
    bestEdits = edits;
  }
  return best;
}

/** `, did you mean "tcp-ports"?`, or what is known when nothing is near. */
export function didYouMean(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === undefined ? `; known are ${known.join(", ")}` : `; did you mean "${near}"?`;
}

const fold = (text: string): string => text.toLowerCase().replace(/[-_ ]/g, "");

/** Levenshtein distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitute, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
