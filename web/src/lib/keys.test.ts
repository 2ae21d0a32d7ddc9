import { describe, expect, it } from "vitest";
import { KEYS, readKeys } from "./keys";

describe("keys", () => {
  it("are read one by one, and after g as two", () => {
    expect(readKeys(["h"])).toBe("home");
    expect(readKeys([" "])).toBe("pause");
    expect(readKeys(["g"])).toBe("begun");
    expect(readKeys(["g", "i"])).toBe("incidents");
    expect([readKeys(["x"]), readKeys(["g", "x"]), readKeys(["Ctrl"]), readKeys(["Esc"]), readKeys([])]).toEqual([
      null,
      null,
      null,
      null,
      null,
    ]);
  });

  it("each stands once in the list", () => {
    expect(new Set(KEYS.map(({ keys }) => keys)).size).toBe(KEYS.length);
  });
});
