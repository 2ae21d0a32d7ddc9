import { expect, it } from "vitest";
import { agoText, clockText } from "./moments";

const NOW_S = new Date(2026, 10, 21, 14, 30, 0).getTime() / 1000;

it("a time of today is told to the second, another with its day", () => {
  expect(clockText(NOW_S - 70, NOW_S)).toBe("14:28:50");
  expect(clockText(NOW_S - 86_400, NOW_S)).toMatch(/^\S+ 14:30$/);
  expect(clockText(NOW_S - 30 * 86_400, NOW_S)).toMatch(/22/);
  expect([clockText(null, NOW_S), clockText(0, NOW_S)]).toEqual(["", ""]);
});

it.each([
  [0, "just now"],
  [-5, "just now"],
  [40, "a minute ago"],
  [570, "9 min ago"],
  [7500, "2 h 5 m ago"],
])("%d s ago is %s", (past, said) => expect(agoText(NOW_S - past, NOW_S)).toBe(said));
