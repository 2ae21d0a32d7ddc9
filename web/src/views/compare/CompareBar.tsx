/** What the runs are laid side by side by, which losses are drawn, and the way back from a zoom. */
import type { JSX } from "preact";
import { AXES, type Axis } from "../../lib/compare";
import { step } from "../../lib/format";
import { Switch } from "../Switch";
import type { CompareModel } from "./model";

const DRAWN = ["raw", "weighted"] as const;

export function CompareBar({ model }: { readonly model: CompareModel }): JSX.Element {
  const comparison = model.shown.value;
  const at = model.cursor.value;
  const isTime = model.axis.value === "time";
  return (
    <div class="compare-bar">
      <span class="quiet">side by side by</span>
      <Switch
        label="Axis"
        options={AXES}
        value={model.axis.value}
        onPick={(axis) => (model.axis.value = AXES.find((one) => one === axis) ?? ("step" satisfies Axis))}
      />
      <span class="quiet">losses</span>
      <Switch
        label="Losses"
        options={DRAWN}
        value={model.isWeighted.value ? "weighted" : "raw"}
        onPick={(drawn) => void model.pickWeighted(drawn === "weighted")}
      />
      <button
        type="button"
        class="button button-small"
        disabled={model.range.value.kind === "all"}
        onClick={() => model.setRange({ kind: "all" })}
      >
        whole range
      </button>
      <span class="quiet compare-note" role="status">
        {model.isLoading.value ? "Comparing…" : (comparison?.note ?? "")}
        {isTime ? " Ticks are milliseconds." : ""}
        {at === null ? "" : ` Cursor at ${step(Math.round(at))}${isTime ? " ms" : ""}.`}
      </span>
    </div>
  );
}
