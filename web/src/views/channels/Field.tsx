/** A labelled line to type into, and a labelled check box. */
import type { JSX } from "preact";
import { useId } from "preact/hooks";

export interface FieldProps {
  readonly label: string;
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly fault?: string | undefined;
  readonly note?: string;
  readonly placeholder?: string;
}

export function Field({ label, value, onInput, fault, note = "", placeholder }: FieldProps): JSX.Element {
  const id = useId();
  return (
    <div class="form-field">
      <label for={id}>{label}</label>
      <input
        id={id}
        class="field"
        type="text"
        autocomplete="off"
        spellcheck={false}
        value={value}
        placeholder={placeholder}
        aria-invalid={fault !== undefined}
        aria-describedby={`${id}-note`}
        data-testid={`field-${label.replaceAll(" ", "-")}`}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      <span id={`${id}-note`} class={fault === undefined ? "form-note quiet" : "form-note fault"}>
        {fault ?? note}
      </span>
    </div>
  );
}

export interface CheckProps {
  readonly label: string;
  readonly isOn: boolean;
  readonly onChange: (isOn: boolean) => void;
}

export function Check({ label, isOn, onChange }: CheckProps): JSX.Element {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={isOn}
        data-testid={`check-${label.replaceAll(" ", "-")}`}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      {label}
    </label>
  );
}
