/** A number that a person types and sends: what it is now, and, once something is typed, what will happen. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Fields } from "../../lib/decode";
import type { Ground } from "../../lib/deeds";
import { valueOf } from "../../lib/bounds";
import { OrderOutcome } from "./OrderOutcome";
import { Proposal } from "./Proposal";
import { useOrder } from "./useOrder";

export interface ValueControlProps {
  readonly run: string;
  readonly kind: string;
  readonly title: string;
  /** names it to tests */
  readonly name: string;
  readonly label: string;
  /** what is in force, in words */
  readonly now: string;
  readonly bounds: readonly [number, number];
  readonly argsOf: (value: number) => Fields;
  readonly ground: Ground;
  readonly hasWhatIf?: boolean;
  readonly isAllowed: boolean;
}

export function ValueControl(props: ValueControlProps): JSX.Element {
  const { run, kind, title, name, label, now, bounds, argsOf, ground, hasWhatIf = false, isAllowed } = props;
  const typed = useSignal("");
  const ordering = useOrder(run);
  const entry = typed.value.trim() === "" ? null : valueOf(typed.value, bounds);
  const forget = (): void => {
    typed.value = "";
    if (!ordering.isUnderWay) ordering.forget();
  };
  const send = async (args: Fields, seen: number): Promise<void> => {
    if (await ordering.send(kind, args, seen)) typed.value = "";
  };
  return (
    <div class="value-control">
      <label class="value-entry">
        <span class="value-title">{title}</span>
        <span class="quiet number" data-testid={`now-${name}`}>
          {now}
        </span>
        <input
          class="field number"
          type="text"
          inputMode="decimal"
          placeholder="new value"
          aria-label={`${title}, new value`}
          aria-invalid={entry?.fault !== null && entry !== null}
          data-testid={`input-${name}`}
          disabled={!isAllowed}
          value={typed.value}
          onInput={(event) => {
            if (typed.value === "" && !ordering.isUnderWay) ordering.forget();
            typed.value = event.currentTarget.value;
          }}
          onKeyDown={(event) => {
            if (event.key === "Escape") forget();
          }}
        />
      </label>
      {entry !== null && entry.fault !== null && <p class="fault">{entry.fault}</p>}
      {entry !== null && entry.fault === null && (
        <Proposal
          run={run}
          kind={kind}
          args={argsOf(entry.value)}
          label={label}
          name={name}
          ground={ground}
          hasLease
          hasWhatIf={hasWhatIf}
          isDisabled={!isAllowed || ordering.isUnderWay}
          onSend={(args, seen) => void send(args, seen)}
          onForget={forget}
        />
      )}
      <OrderOutcome ordering={ordering} testid={`outcome-${name}`} />
    </div>
  );
}
