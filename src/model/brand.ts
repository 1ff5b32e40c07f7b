// Nominal types over plain values, and the one place that may mint them.
//
// A branded value was checked by the parser that made it; past that line nobody checks again.

declare const brand: unique symbol;

/** A value of type T that only the parser for `Name` can make. */
export type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** Marks a checked value. Called by the parsers of `model/` and by the decoders of data they wrote. */
export function minted<B extends Branded<string | number, string>>(
  value: B extends string ? string : number,
): B {
  return value as unknown as B;
}
