import { describe, expect, it } from "vitest";
import { scoreOf, sought } from "./seek";

describe("seeking", () => {
  const find = (question: string, ...texts: string[]): string[] => sought(question, texts, (text) => text);

  it("puts the beginning first, then beginnings of words, then the middle, then letters in order", () => {
    expect(find("pa", "compare runs", "a pause", "pause", "p---a", "other")).toEqual([
      "pause",
      "a pause",
      "compare runs",
      "p---a",
    ]);
  });

  it("wants every word, in any order and any case", () => {
    expect(find("FIR den", "denovo/first", "denovo/second", "first")).toEqual(["denovo/first"]);
  });

  it("finds by initials, the closer together the better", () => {
    expect(find("hs", "hold the stage", "hello", "h-s")).toEqual(["h-s", "hold the stage"]);
  });

  it("everything answers no question, in the order given", () => {
    expect(find(" ", "b", "a")).toEqual(["b", "a"]);
    expect(scoreOf("x", "")).toBeNull();
  });

  it("no question is slow, and none is a pattern", () => {
    expect(find(".*", "abc")).toEqual([]);
    expect(scoreOf("a".repeat(60), `${"a ".repeat(500)}b`)).not.toBeUndefined();
  });
});
