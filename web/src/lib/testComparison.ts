/** A comparison for tests, as the server says it. */
export function comparisonAnswer(changes: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  const places = { step: [0], x: [0], slope: [1], last_step: 99 };
  const run = (id: string, name: string): Readonly<Record<string, unknown>> => ({
    id, project: "p", name, state: "finished", first_step: 0, last_step: 99, components: ["ce"],
    series: ["loss/total", "loss/ce", "grad_norm/total", "val/acc", "step_time_s"],
    interventions: id === "b" ? [{ id: "c1", kind: "set_weight", step: 40, x: 40, text: "set weight ce 0.5" }] : [],
  });
  const pair = (at: number | null): unknown => ({ run: "b", compared: true, at, same_until: 9, text: `parts at ${at}` });
  return {
    axis: { kind: "step", unit: "step", note: "By step.", places: { a: places, b: places }, bands: [] },
    runs: [run("a", "old"), run("b", "new")],
    parting: [
      { series: "loss/total", kind: "total", label: "total", missing: [], pairs: [pair(10)] },
      { series: "loss/ce", kind: "component", label: "ce", missing: [], pairs: [pair(null)] },
    ],
    verdict: [
      {
        key: "result:val/acc", title: "final val/acc", unit: "", better: "higher", winners: ["b"], equal: false,
        cells: [
          { run: "a", value: "NaN", text: "NaN", detail: "" },
          { run: "b", value: 0.5, text: "0.5", detail: "± 0.01" },
        ],
        why: "new: 0.5 against NaN of old.",
      },
    ],
    decisions: [
      {
        run: "b", against: "a", advice: "adopt", text: "Adopt new.", cautions: ["old broke itself."],
        nodes: [
          { key: "nan", question: "NaN losses?", answer: "no", why: "All finite.", leads: "compare" },
          { key: "accuracy", question: "Better accuracy?", answer: "yes", why: "0.5 against NaN", leads: "adopt" },
        ],
      },
    ],
    config: { rows: [{ path: "config.lr", values: { a: 0.1 } }], left_out: 0, same: 7 },
    ...changes,
  };
}
