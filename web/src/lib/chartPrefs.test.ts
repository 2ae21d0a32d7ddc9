import { expect, it } from "vitest";
import { NO_PREFS, liked, prefsOf } from "./chartPrefs";

it("what was liked is read again", () => {
  const prefs = liked(liked({ ...NO_PREFS, smoothing: "medium" }, "losses", { scale: "symlog" }), "contributions", {
    form: "shares",
  });
  expect(prefsOf(JSON.stringify(prefs))).toEqual(prefs);
  expect(liked(prefs, "losses", { form: "lines" }).likings["losses"]).toEqual({ scale: "symlog", form: "lines" });
});

it.each([null, "", "{", "[]", "7", '{"smoothing":"huge","likings":[1]}', '{"likings":{"a":{"scale":"cubic","form":9}}}'])(
  "what cannot be read is left out: %s",
  (text) => {
    const { smoothing, likings } = prefsOf(text);
    expect(smoothing).toBe("off");
    expect(Object.values(likings).every((liking) => Object.keys(liking).length === 0)).toBe(true);
  },
);

it("is bounded, and forgets the oldest", () => {
  let prefs = NO_PREFS;
  for (let i = 0; i < 200; i += 1) prefs = liked(prefs, `kind-${i}`, { scale: "log" });
  expect(Object.keys(prefs.likings)).toHaveLength(64);
  expect(prefs.likings["kind-199"]).toEqual({ scale: "log" });
});
