/** An order from the palette or the keyboard: says what will happen, asks, and then says what became of it. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Fields } from "../../lib/decode";
import { type OrderKind, whyNoOrder } from "../../lib/errands";
import type { Run } from "../../lib/models";
import { fullNameOf } from "../../lib/runNames";
import { Dialog } from "../Dialog";
import { usePage } from "../context";
import { OrderOutcome } from "../steering/OrderOutcome";
import { Proposal } from "../steering/Proposal";
import { useOrder } from "../steering/useOrder";

const LABELS: Readonly<Record<OrderKind, string>> = {
  pause: "Pause",
  resume: "Resume",
  checkpoint: "Write a checkpoint",
  hold_stage: "Hold the stage",
  release_stage: "Release the stage",
};

export interface OrderProps {
  readonly run: Run;
  readonly kind: OrderKind;
  readonly onClose: () => void;
}

export function OrderDialog({ run, kind, onClose }: OrderProps): JSX.Element {
  const { state } = usePage();
  const ordering = useOrder(run.id);
  const isSent = useSignal(false);
  const body = useRef<HTMLDivElement>(null);
  // Whoever asked for it by a key confirms it by one; the dialog is open by now.
  useEffect(() => body.current?.querySelector<HTMLElement>(".button-main:enabled")?.focus(), []);
  const refusal = isSent.value ? null : whyNoOrder(state.value, run, kind);
  const ground = { step: run.step, position: null, stage: run.stage?.name ?? null, isHeld: false };
  const send = async (args: Fields, seen: number): Promise<void> => {
    isSent.value = await ordering.send(kind, args, seen);
  };
  return (
    <Dialog title={`${LABELS[kind]}: ${fullNameOf(run)}`} onClose={onClose}>
      <div ref={body}>
      {!isSent.value && (
        <Proposal
          run={run.id}
          kind={kind}
          args={{}}
          label={LABELS[kind]}
          name={`order-${kind}`}
          ground={ground}
          hasLease={kind === "hold_stage"}
          isDisabled={refusal !== null || ordering.isUnderWay}
          onSend={(args, seen) => void send(args, seen)}
          onForget={onClose}
        />
      )}
      </div>
      {refusal !== null && (
        <p class="fault" role="status" data-testid="order-refusal">
          {refusal}
        </p>
      )}
      <OrderOutcome ordering={ordering} testid={`outcome-order-${kind}`} />
    </Dialog>
  );
}
