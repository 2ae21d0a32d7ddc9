/** A button that first says what it will do, and does it at the second press. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Fields } from "../../lib/decode";
import type { Ground } from "../../lib/deeds";
import { OrderOutcome } from "./OrderOutcome";
import { Proposal } from "./Proposal";
import { useOrder } from "./useOrder";

export interface OneDeedProps {
  readonly run: string;
  readonly kind: string;
  readonly args: Fields;
  /** the button that opens it */
  readonly open: string;
  /** the button that sends it */
  readonly label: string;
  readonly name: string;
  readonly ground: Ground;
  readonly hasLease?: boolean;
  readonly isAllowed: boolean;
}

export function OneDeed(props: OneDeedProps): JSX.Element {
  const { run, kind, args, open, label, name, ground, hasLease = false, isAllowed } = props;
  const isOpen = useSignal(false);
  const ordering = useOrder(run);
  const send = async (whole: Fields, seen: number): Promise<void> => {
    if (await ordering.send(kind, whole, seen)) isOpen.value = false;
  };
  return (
    <div class="one-deed">
      {!isOpen.value && (
        <button
          type="button"
          class="button"
          data-testid={`btn-${name}`}
          disabled={!isAllowed || ordering.isUnderWay}
          onClick={() => {
            ordering.forget();
            isOpen.value = true;
          }}
        >
          {open}
        </button>
      )}
      {isOpen.value && (
        <Proposal
          run={run}
          kind={kind}
          args={args}
          label={label}
          name={name}
          ground={ground}
          hasLease={hasLease}
          isDisabled={!isAllowed || ordering.isUnderWay}
          onSend={(whole, seen) => void send(whole, seen)}
          onForget={() => (isOpen.value = false)}
        />
      )}
      <OrderOutcome ordering={ordering} testid={`outcome-${name}`} />
    </div>
  );
}
