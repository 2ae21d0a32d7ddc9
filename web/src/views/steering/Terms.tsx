/** How long a change takes and for how long it holds; both may stay empty. */
import { type Signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Fields } from "../../lib/decode";
import { stepsOf, termArgs } from "../../lib/terms";

export interface TermsState {
  readonly ramp: Signal<string>;
  readonly lease: Signal<string>;
  readonly args: Fields;
  readonly fault: string | null;
  readonly clear: () => void;
}

export function useTerms(): TermsState {
  const ramp = useSignal("");
  const lease = useSignal("");
  const [over, during] = [stepsOf(ramp.value), stepsOf(lease.value)];
  const clear = (): void => {
    ramp.value = "";
    lease.value = "";
  };
  return { ramp, lease, args: termArgs(over.steps, during.steps), fault: over.fault ?? during.fault, clear };
}

export interface TermsProps {
  readonly terms: TermsState;
  readonly name: string;
  readonly hasRamp: boolean;
  readonly isDisabled: boolean;
}

export function Terms({ terms, name, hasRamp, isDisabled }: TermsProps): JSX.Element {
  return (
    <div class="terms">
      {hasRamp && (
        <StepsField
          label="ramp over"
          about={`ramp of ${name}, steps`}
          none="at once"
          typed={terms.ramp}
          isDisabled={isDisabled}
          testid={`ramp-${name}`}
        />
      )}
      <StepsField
        label="for"
        about={`lease of ${name}, steps`}
        none="no end"
        typed={terms.lease}
        isDisabled={isDisabled}
        testid={`lease-${name}`}
      />
      {terms.fault !== null && <p class="fault">{terms.fault}</p>}
    </div>
  );
}

interface StepsProps {
  readonly label: string;
  readonly about: string;
  /** what an empty field means */
  readonly none: string;
  readonly typed: Signal<string>;
  readonly isDisabled: boolean;
  readonly testid: string;
}

function StepsField({ label, about, none, typed, isDisabled, testid }: StepsProps): JSX.Element {
  return (
    <label class="steps-field">
      {label}{" "}
      <input
        class="field number"
        type="text"
        inputMode="numeric"
        placeholder={none}
        aria-label={about}
        aria-invalid={stepsOf(typed.value).fault !== null}
        data-testid={testid}
        disabled={isDisabled}
        value={typed.value}
        onInput={(event) => (typed.value = event.currentTarget.value)}
      />{" "}
      steps
    </label>
  );
}
