/** The switches of a chart: its form and the scale of its axis. */
import type { JSX } from "preact";
import { type Choices, formsOf } from "../../charts/picture";
import type { ChartSpec } from "../../charts/spec";
import type { Form } from "../../lib/chartPrefs";
import { SCALES, isScale } from "../../lib/scale";
import { Switch } from "../Switch";

export interface ChartToolsProps {
  readonly spec: ChartSpec;
  readonly choices: Choices;
  readonly onChoose: (change: Partial<Choices>) => void;
}

const NAMES: Readonly<Record<Form, string>> = { lines: "lines", areas: "areas", shares: "share %", heat: "heat map" };

export function ChartTools({ spec, choices, onChoose }: ChartToolsProps): JSX.Element {
  const forms = formsOf(spec);
  const form = shownForm(choices);
  return (
    <>
      {forms.length > 1 && (
        <Switch
          label="Form"
          options={forms.map((one) => NAMES[one])}
          value={NAMES[form]}
          onPick={(name) => onChoose(formChoice(forms.find((one) => NAMES[one] === name) ?? "lines"))}
        />
      )}
      {spec.bounds === null && form !== "shares" && form !== "heat" && (
        <Switch
          label="Scale"
          options={SCALES}
          value={choices.scale}
          onPick={(scale) => isScale(scale) && onChoose({ scale })}
        />
      )}
    </>
  );
}

/** Areas are heaped on a linear axis only: on another they are lines. */
function shownForm({ form, scale }: Choices): Form {
  return form === "areas" && scale !== "linear" ? "lines" : form;
}

function formChoice(form: Form): Partial<Choices> {
  return form === "areas" ? { form, scale: "linear" } : { form };
}
