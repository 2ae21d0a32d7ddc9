/** A choice of a few words, all of them visible. */
import type { JSX } from "preact";

export interface SwitchProps {
  readonly label: string;
  readonly options: readonly string[];
  readonly value: string;
  readonly onPick: (option: string) => void;
}

export function Switch({ label, options, value, onPick }: SwitchProps): JSX.Element {
  return (
    <div class="switch" role="group" aria-label={label}>
      {options.map((option) => (
        <button
          key={option}
          type="button"
          class="switch-option"
          aria-pressed={option === value}
          onClick={() => onPick(option)}
        >
          {option}
        </button>
      ))}
    </div>
  );
}
