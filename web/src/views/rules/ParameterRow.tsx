/** One parameter of a rule: its meaning, its value to edit, its bounds and default, and who set it. */
import type { JSX } from "preact";
import { exact } from "../../lib/format";
import { type Parameter, type Rule, boundsText, setByText, valueText } from "../../lib/rules";
import { faultIn, forgotten, reset, typed, typedOf } from "../../lib/rulesDraft";
import type { RulesPanel } from "./panel";

interface RowProps {
  readonly panel: RulesPanel;
  readonly rule: Rule;
  readonly parameter: Parameter;
}

export function ParameterRow({ panel, rule, parameter }: RowProps): JSX.Element {
  const said = typedOf(panel.draft.value, rule.name, parameter.name);
  const fault = typeof said === "string" ? faultIn(parameter, said) : null;
  const below = beneathOf(panel, rule, parameter);
  const faultId = `fault-${rule.name}-${parameter.name}`;
  return (
    <div class="param" role="row" data-testid={`param-${parameter.name}`} data-set-by={parameter.setBy}>
      <span role="cell" class="param-what">
        <code>{parameter.name}</code> {parameter.text}
      </span>
      <span role="cell" class="param-value">
        <input
          class="field number"
          type="text"
          inputMode="decimal"
          aria-label={`${rule.title}: ${parameter.name}`}
          aria-invalid={fault !== null}
          aria-describedby={fault === null ? undefined : faultId}
          data-testid={`param-input-${parameter.name}`}
          value={said === null ? exact(below) : (said ?? exact(parameter.value))}
          onInput={(event) => panel.edit(typed(panel.draft.value, rule, parameter, event.currentTarget.value))}
        />
        <span class="quiet">{parameter.unit}</span>
      </span>
      <span role="cell" class="quiet number">
        {boundsText(parameter)}, default {valueText(parameter.usual, "")}
      </span>
      <span role="cell" class="param-by" data-testid={`param-by-${parameter.name}`}>
        <Speaker panel={panel} rule={rule} parameter={parameter} said={said} />
      </span>
      {fault !== null && (
        <span id={faultId} class="param-fault fault" role="alert">
          {fault}
        </span>
      )}
    </div>
  );
}

/** Who set it, and the way back. */
function Speaker({ panel, rule, parameter, said }: RowProps & { said: string | null | undefined }): JSX.Element {
  const name = `${rule.title}: ${parameter.name}`;
  if (said !== undefined)
    return (
      <>
        <span>{said === null ? "to be reset" : `was ${valueText(parameter.value, "")}`}</span>
        <button
          type="button"
          class="button button-small"
          aria-label={`forget the change of ${name}`}
          onClick={() => panel.edit(forgotten(panel.draft.value, rule.name, parameter.name))}
        >
          forget
        </button>
      </>
    );
  const isOwn = parameter.setBy === panel.scope.value;
  return (
    <>
      <span class={parameter.setBy === "default" ? "quiet" : ""}>
        {setByText(parameter.setBy)}
        {overruledText(panel, rule, parameter)}
      </span>
      {isOwn && (
        <button
          type="button"
          class="button button-small"
          aria-label={`reset ${name}`}
          data-testid={`param-reset-${parameter.name}`}
          onClick={() => panel.edit(reset(panel.draft.value, rule.name, parameter.name))}
        >
          reset
        </button>
      )}
    </>
  );
}

/** In the project's rules: what this run says otherwise. */
function overruledText(panel: RulesPanel, rule: Rule, parameter: Parameter): string {
  if (panel.scope.value === "run") return "";
  const own = panel.loaded.value?.run.own ?? {};
  const value = Object.hasOwn(own, rule.name) ? own[rule.name]?.parameters?.[parameter.name] : undefined;
  return value === undefined ? "" : `; this run has ${valueText(value, "")}`;
}

function beneathOf(panel: RulesPanel, rule: Rule, parameter: Parameter): number {
  const below = panel.beneath.value.find((each) => each.name === rule.name);
  return below?.parameters.find((each) => each.name === parameter.name)?.value ?? parameter.usual;
}
