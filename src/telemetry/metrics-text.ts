// The Prometheus text format (exposition format 0.0.4): families of samples in, text out.
//
// Knows the format and nothing of what is measured.

/** One name with its samples, made from a view of type V. */
export interface MetricFamily<V> {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly samples: (view: V) => readonly Sample[];
}

export interface Sample {
  /** After the family's name: "_bucket", "_sum", "_count", or "". */
  readonly suffix: "" | "_bucket" | "_sum" | "_count";
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

export const metricsContentType = "text/plain; version=0.0.4; charset=utf-8";

export function metricsText<V>(families: readonly MetricFamily<V>[], view: V): string {
  return families.map((family) => familyText(family, view)).join("");
}

function familyText<V>(family: MetricFamily<V>, view: V): string {
  const lines = family
    .samples(view)
    .map(
      (one) => `${family.name}${one.suffix}${labelsText(one.labels)} ${numberText(one.value)}\n`,
    );
  return `# HELP ${family.name} ${family.help}\n# TYPE ${family.name} ${family.type}\n${lines.join("")}`;
}

function labelsText(labels: Sample["labels"]): string {
  const parts = Object.entries(labels).map(
    ([name, text]) => `${name}="${escapeLabel(String(text))}"`,
  );
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

/** Backslash, quote and newline are what the format asks to escape in a label. */
function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function numberText(figure: number): string {
  return figure === Number.POSITIVE_INFINITY ? "+Inf" : String(figure);
}
