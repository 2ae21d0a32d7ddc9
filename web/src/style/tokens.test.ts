import { describe, expect, it } from "vitest";
import css from "./tokens.css?raw";

/** WCAG 2 relative luminance of #rrggbb. */
function luminance(colour: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const part = parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [dark = 0, bright = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (bright + 0.05) / (dark + 0.05);
}

function tokensOf(theme: string): (name: string) => string {
  const block = css.slice(css.indexOf(`[data-theme="${theme}"]`)).split("}")[0] ?? "";
  const tokens = new Map([...block.matchAll(/--([\w-]+): (#\w+);/g)].map((match) => [match[1] ?? "", match[2] ?? ""]));
  return (name) => tokens.get(name) ?? "#000000";
}

describe.each(["light", "dark"])("the %s theme", (theme) => {
  const token = tokensOf(theme);

  it.each(["ink", "ink-muted", "ok", "warning", "critical", "accent"])(
    "has text of WCAG AA in %s, on every ground",
    (name) => {
      for (const ground of ["ground", "surface", "raised", "critical-ground", "warning-ground"]) {
        expect(contrast(token(name), token(ground)), ground).toBeGreaterThanOrEqual(4.5);
      }
    },
  );

  it("has a heat map that reads by its lightness alone, each stop well apart from the next", () => {
    const light = [0, 1, 2, 3, 4].map((at) => luminance(token(`heat-${at}`)));
    const order = theme === "light" ? [...light].reverse() : light;
    expect([...order].sort((a, b) => a - b)).toEqual(order);
    for (let i = 0; i < 4; i += 1) expect(contrast(token(`heat-${i}`), token(`heat-${i + 1}`))).toBeGreaterThan(1.3);
  });

  it("has readable buttons, visible borders of controls, and visible curves", () => {
    expect(contrast(token("on-accent"), token("accent"))).toBeGreaterThanOrEqual(4.5);
    expect(contrast(token("on-critical"), token("critical"))).toBeGreaterThanOrEqual(4.5);
    expect(contrast(token("control-line"), token("ground"))).toBeGreaterThanOrEqual(3);
    for (let i = 0; i < 8; i += 1)
      expect(contrast(token(`series-${i}`), token("surface")), `series-${i}`).toBeGreaterThanOrEqual(3);
  });
});
