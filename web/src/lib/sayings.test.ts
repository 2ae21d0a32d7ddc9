import { expect, it } from "vitest";
import { alertOf } from "./models";
import { isSilenced, sayingsText, silenceText } from "./sayings";

const NOW_S = 1_800_000_000;
const silenced = (seconds: number): ReturnType<typeof alertOf> => alertOf({ silenced_until_s: NOW_S + seconds });

it("a silence says until when and how long, and is over at its end", () => {
  expect(silenceText(silenced(3609), NOW_S)).toMatch(/^until \d?\d:\d\d.* \(60 min\)$/);
  expect(silenceText(silenced(30), NOW_S)).toContain("(1 min)");
  expect(silenceText(silenced(8 * 3600), NOW_S)).toContain("(8 h)");
  expect(silenceText(silenced(7 * 86_400), NOW_S)).toMatch(/^until \w+\.? .*\(7 days\)$/);
  expect(silenceText(silenced(0), NOW_S)).toBe("");
  expect(isSilenced(silenced(1), NOW_S)).toBe(true);
  expect(isSilenced(silenced(0), NOW_S)).toBe(false);
});

it("a line says what was said", () => {
  expect(sayingsText(alertOf({ verdict: "false", silenced_until_s: NOW_S + 9 }), NOW_S)).toBe("false alarm · silenced");
  expect(sayingsText(alertOf({ verdict: "true" }), NOW_S)).toBe("true alarm");
  expect(sayingsText(alertOf({ verdict: "nonsense" }), NOW_S)).toBe("");
});
