/** The dialogs that belong to the whole page. */
import type { Signal } from "@preact/signals";
import type { JSX } from "preact";
import { Dialog } from "./Dialog";
import { KeysDialog } from "./KeysDialog";
import { RunList } from "./RunList";
import { usePage } from "./context";
import { OrderDialog } from "./palette/OrderDialog";
import { PaletteDialog } from "./palette/PaletteDialog";
import type { Engine } from "./rules/useEngine";
import type { Open } from "./useOpen";

export function PageDialogs({ open, engine }: { open: Signal<Open | null>; engine: Engine }): JSX.Element | null {
  const { runs, selected } = usePage().state.value;
  const run = selected === null ? undefined : runs[selected];
  const shown = open.value;
  const close = (): void => {
    if (open.value === shown) open.value = null;
  };
  switch (shown?.kind) {
    case "keys":
      return <KeysDialog onClose={close} />;
    case "palette":
      return <PaletteDialog open={open} engine={engine} onClose={close} />;
    case "runs":
      return (
        <Dialog title="Runs" onClose={close}>
          <RunList onPicked={close} />
        </Dialog>
      );
    case "order":
      return run === undefined ? null : <OrderDialog run={run} kind={shown.order} onClose={close} />;
    default:
      return null;
  }
}
