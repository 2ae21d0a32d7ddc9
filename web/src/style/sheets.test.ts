/** Only tokens.css says a colour, a size of type, a corner or a layer; every other sheet uses its names. */
import { describe, expect, it } from "vitest";

const SHEETS = import.meta.glob<string>(["./*.css", "../charts/*.css"], { query: "?raw", import: "default", eager: true });
const TOKENS = "./tokens.css";
const OTHERS = Object.entries(SHEETS).filter(([path]) => path !== TOKENS);
const SOURCES = import.meta.glob<string>(["../**/*.ts", "../**/*.tsx", "!../**/*.test.*"], {
  query: "?raw",
  import: "default",
  eager: true,
});

const NAMED =
  "black|white|red|green|blue|gray|grey|yellow|orange|purple|pink|brown|cyan|magenta|silver|gold|navy|teal|olive|maroon";
const COLOUR = new RegExp(`#[0-9a-f]{3,8}\\b|\\b(?:rgb|rgba|hsl|hsla|oklch|oklab|lab|lch)\\(|:[^;{}]*\\b(?:${NAMED})\\b`, "gi");
const LITERALS: readonly (readonly [string, RegExp])[] = [
  ["a size of type", /font(?:-size)?:[^;}]*\b\d*\.?\d+(?:px|r?em|pt)\b[^;}]*/g],
  ["a corner", /border-radius:[^;}]*[1-9]\d*(?:px|em|%)[^;}]*/g],
  ["a layer", /z-index:\s*-?\d+/g],
];

function plain(css: string): string {
  return css.replaceAll(/\/\*[\s\S]*?\*\//g, "");
}

describe.each(OTHERS)("%s", (_, css) => {
  it("holds no colour of its own", () => {
    expect(declarations(css).flatMap((line) => [...line.matchAll(COLOUR)].map(([found]) => found))).toEqual([]);
  });

  it.each(LITERALS)("holds not %s of its own", (_what, pattern) => {
    expect([...plain(css).matchAll(pattern)].map(([found]) => found)).toEqual([]);
  });

  it("uses only tokens that there are", () => {
    const own = new Set([...(SHEETS[TOKENS] ?? "").matchAll(/--[\w-]+(?=:)/g)].map(([name]) => name));
    const used = [...css.matchAll(/var\((--[\w-]+)/g)].map((match) => match[1] ?? "");
    expect(used.filter((name) => !own.has(name))).toEqual([]);
  });
});

/** What stands between braces: a selector may hold an id that looks like a colour. */
function declarations(css: string): string[] {
  return [...plain(css).matchAll(/\{([^{}]*)\}/g)].map((match) => match[1] ?? "");
}

it("there is something to read", () => {
  expect(OTHERS.length).toBeGreaterThan(5);
  expect(Object.keys(SOURCES).length).toBeGreaterThan(100);
});

it("no code holds a colour", () => {
  const found = Object.entries(SOURCES).flatMap(([path, code]) =>
    [...code.matchAll(/["'`](?:#[0-9a-f]{6}|#[0-9a-f]{3})["'`]|\brgba?\(\d/gi)].map(([colour]) => `${path}: ${colour}`),
  );
  expect(found).toEqual([]);
});
