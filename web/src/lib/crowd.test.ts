import { describe, expect, it } from "vitest";
import { CROWD_KINDS, CROWD_SHOWN, Crowd, crowdKindOf, memberOf, seriesOf } from "./crowd";

const [GROUPS, PARAMETERS, ACTIVATIONS] = CROWD_KINDS;
if (GROUPS === undefined || PARAMETERS === undefined || ACTIVATIONS === undefined) throw new Error("there are three crowds");
const name = (member: number): string => `param_grad_norm/p${member}`;

function crowdOf(count: number, sizeOf: (i: number) => number): Crowd {
  const crowd = new Crowd(PARAMETERS as NonNullable<typeof PARAMETERS>);
  for (let i = 0; i < count; i += 1) crowd.note(name(i), 0, sizeOf(i));
  crowd.choose();
  return crowd;
}

describe("who is shown", () => {
  it("are the largest by their latest value", () => {
    const crowd = crowdOf(300, (i) => i);
    const largest = Array.from({ length: CROWD_SHOWN }, (_, i) => `p${299 - i}`);
    expect(crowd.chosen).toEqual({ id: "parameters", members: largest, of: 300 });
  });

  it("are all, where they are few", () => {
    expect(crowdOf(3, (i) => i).chosen.members).toHaveLength(3);
  });

  it("keeps the places of those who stay", () => {
    const crowd = crowdOf(300, (i) => i);
    const before = crowd.chosen.members;
    crowd.note(name(5), 1, 1e6);
    expect(crowd.choose()).toEqual({ came: ["p5"], left: ["p288"] });
    expect(crowd.chosen.members).toEqual(before.map((member) => (member === "p288" ? "p5" : member)));
  });

  it("does not change by a hair", () => {
    const crowd = crowdOf(300, (i) => i);
    crowd.note(name(5), 1, 290);
    expect(crowd.choose()).toEqual({ came: [], left: [] });
  });

  it("is first of all what is not finite", () => {
    const crowd = crowdOf(300, (i) => i);
    crowd.note(name(5), 1, NaN);
    crowd.note(name(6), 1, -Infinity);
    expect([...crowd.choose().came].sort()).toEqual(["p5", "p6"]);
  });
});

it("groups are a crowd, and their sum is not one of them", () => {
  const crowd = new Crowd(GROUPS);
  const names = ["grad_norm/total", ...Array.from({ length: 75 }, (_, i) => `grad_norm/block${i}`)];
  crowd.noteAll({ run: "r", steps: Float64Array.of(1), names, values: names.map((_, i) => Float64Array.of(i)) });
  crowd.choose();
  expect([crowd.chosen.of, crowd.chosen.members.length, crowd.chosen.members[0]]).toEqual([75, CROWD_SHOWN, "block74"]);
  expect([crowdKindOf("grad_norm/total"), crowdKindOf("grad_norm/block3")]).toEqual([undefined, GROUPS]);
});

describe("a latest value", () => {
  it("is not replaced by an older one: a freeze-frame tells of the past", () => {
    const crowd = crowdOf(300, (i) => i);
    crowd.note(name(299), 50, 299);
    crowd.note(name(299), 20, 0);
    expect(crowd.choose().left).toEqual([]);
    crowd.note(name(299), 51, 0);
    expect(crowd.choose().left).toEqual(["p299"]);
  });

  it("of an older branch is replaced by any other", () => {
    const crowd = crowdOf(300, (i) => i);
    crowd.note(name(299), 50, NaN);
    crowd.rollBack(40);
    expect([crowd.isBehind(name(299), 39), crowd.isBehind(name(0), 0)]).toEqual([true, false]);
    crowd.note(name(299), 40, 0);
    expect(crowd.choose().left).toEqual(["p299"]);
  });
});

describe("activations", () => {
  it("are ranked by their root mean square, and shown with their largest magnitude", () => {
    const crowd = new Crowd(ACTIVATIONS);
    for (let i = 0; i < 50; i += 1) {
      crowd.note(`activation/block.${i}/absmax`, 0, 1000 - i);
      crowd.note(`activation/block.${i}/rms`, 0, i);
    }
    crowd.choose();
    expect(crowd.chosen.members[0]).toBe("block.49");
    expect(crowd.chosen.of).toBe(50);
    expect([crowd.shows("activation/block.49/absmax"), crowd.shows("activation/block.0/absmax")]).toEqual([
      true,
      false,
    ]);
  });

  it("are named by their module", () => {
    expect(memberOf(ACTIVATIONS, "activation/encoder.0/rms")).toBe("encoder.0");
    expect(seriesOf(ACTIVATIONS, "encoder.0")).toEqual(["activation/encoder.0/rms", "activation/encoder.0/absmax"]);
    expect([crowdKindOf("grad_norm/total"), crowdKindOf("activation/x/rms")]).toEqual([undefined, ACTIVATIONS]);
  });
});
