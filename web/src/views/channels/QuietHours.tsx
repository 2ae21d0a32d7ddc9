/** The hours in which a channel is not told. */
import type { JSX } from "preact";
import type { PartProps } from "./ChannelForm";
import { Check, Field } from "./Field";

export function QuietHours({ form, faults, put }: PartProps): JSX.Element {
  return (
    <fieldset class="choice">
      <legend>Quiet hours</legend>
      <Check label="quiet hours" isOn={form.isQuiet} onChange={(isQuiet) => put({ isQuiet })} />
      {form.isQuiet && (
        <>
          <div class="form-times">
            <Field label="from" value={form.from} fault={faults.from} onInput={(from) => put({ from })} />
            <Field label="to" value={form.to} fault={faults.to} onInput={(to) => put({ to })} />
          </div>
          <Field
            label="time zone"
            value={form.zone}
            fault={faults.zone}
            note="What comes in these hours is told in one message at their end."
            onInput={(zone) => put({ zone })}
          />
          <Check
            label="wake for non-finite values"
            isOn={form.nonfiniteBreaks}
            onChange={(nonfiniteBreaks) => put({ nonfiniteBreaks })}
          />
        </>
      )}
    </fieldset>
  );
}
