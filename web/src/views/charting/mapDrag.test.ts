import { expect, it } from "vitest";
import { draggedTo, gripAt } from "./mapDrag";

const WHOLE = { from: 0, to: 1000 };
const SHOWN = { from: 400, to: 600 };

it("takes hold of the window, of its edges, or selects where all is shown", () => {
  expect(gripAt(500, 400, 600, 1000)).toBe("move");
  expect(gripAt(405, 400, 600, 1000)).toBe("from");
  expect(gripAt(594, 400, 600, 1000)).toBe("to");
  expect(gripAt(50, 400, 600, 1000)).toBe("move");
  expect(gripAt(50, 0, 1000, 1000)).toBe("select");
  // of a window narrower than its edges, the nearer one
  expect([gripAt(399, 400, 404, 1000), gripAt(405, 400, 404, 1000)]).toEqual(["from", "to"]);
});

it("moves, widens or selects", () => {
  expect(draggedTo("move", SHOWN, WHOLE, 500, 550)).toEqual({ kind: "fixed", from: 450, to: 650 });
  expect(draggedTo("move", SHOWN, WHOLE, 500, -500)).toEqual({ kind: "fixed", from: 0, to: 200 });
  expect(draggedTo("from", SHOWN, WHOLE, 400, -50)).toEqual({ kind: "fixed", from: 0, to: 600 });
  expect(draggedTo("to", SHOWN, WHOLE, 600, 2000)).toEqual({ kind: "fixed", from: 400, to: 1000 });
  expect(draggedTo("select", WHOLE, WHOLE, 700, 300)).toEqual({ kind: "fixed", from: 300, to: 700 });
});
