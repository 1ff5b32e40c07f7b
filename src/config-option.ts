// A row of the table of settings: its names, its help, and how its texts become a value.

import { invalidField } from "./model/errors.ts";

export interface ServeOption<T = unknown> {
  /** "tcp-ports": the flag --tcp-ports, the variable CROSSPOINT_TCP_PORTS, the key tcp-ports. */
  readonly flag: string;
  /** What stands for the value in --help; undefined: a switch. */
  readonly value: string | undefined;
  readonly help: string;
  /** The default, in words; "" for none. */
  readonly fallback: string;
  /** Given more than once, or as a list; separated by commas in the environment. */
  readonly repeatable: boolean;
  /** A variable's text to the texts of its values. */
  split(text: string): readonly string[];
  /** Texts to value; throws "invalid-argument" naming `source`. */
  read(texts: readonly string[], source: string): T;
}

type Parse<T> = (text: string, source: string) => T;

interface Extra {
  readonly fallback?: string;
  /** Where a variable is cut, when not at every comma. */
  readonly separator?: RegExp;
}

/** A setting with one value. */
export function one<T>(
  flag: string,
  value: string | undefined,
  help: string,
  parse: Parse<T>,
  { fallback = "" }: Extra = {},
): ServeOption<T> {
  const read = (texts: readonly string[], source: string): T => {
    const [text, ...more] = texts;
    if (text === undefined || more.length > 0) throw invalidField(source, "takes one value");
    return parse(text, source);
  };
  return { flag, value, help, fallback, repeatable: false, split: (text) => [text], read };
}

/** A setting that may be given more than once. */
export function many<T>(
  flag: string,
  value: string,
  help: string,
  parse: Parse<T>,
  { fallback = "", separator = /,/ }: Extra = {},
): ServeOption<readonly T[]> {
  const read = (texts: readonly string[], source: string): T[] =>
    texts.map((text) => parse(text, source));
  const split = (text: string): string[] => text.split(separator).map((part) => part.trim());
  return { flag, value, help, fallback, repeatable: true, split, read };
}

/** The same, not more often than that. */
export function atMost<T>(
  max: number,
  option: ServeOption<readonly T[]>,
): ServeOption<readonly T[]> {
  const read = (texts: readonly string[], source: string): readonly T[] => {
    if (texts.length > max) throw invalidField(source, `at most ${max}, not ${texts.length}`);
    return option.read(texts, source);
  };
  return { ...option, help: `${option.help}; at most ${max}`, read };
}

/** A setting that is on or off. */
export function turned(flag: string, help: string): ServeOption<boolean> {
  return one(flag, undefined, help, parseSwitch);
}

export function parseSwitch(text: string, source: string): boolean {
  if (/^(?:true|1|yes|on)$/i.test(text)) return true;
  if (/^(?:false|0|no|off)$/i.test(text)) return false;
  throw invalidField(source, `${JSON.stringify(text)} is neither on nor off (or true, false)`);
}
