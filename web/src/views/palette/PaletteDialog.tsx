/** The command palette: a field, and what answers it; arrows choose, Enter does. */
import { type Signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { type Errand, errandsOf, soughtErrands } from "../../lib/errands";
import { Dialog } from "../Dialog";
import { usePage } from "../context";
import type { Engine } from "../rules/useEngine";
import type { Open } from "../useOpen";
import { PaletteRow, rowId } from "./PaletteRow";
import { useErrand } from "./useErrand";

const SHOWN_MAX = 60;
const LIST_ID = "palette-list";

export interface PaletteProps {
  readonly open: Signal<Open | null>;
  readonly engine: Engine;
  readonly onClose: () => void;
}

export function PaletteDialog({ open, engine, onClose }: PaletteProps): JSX.Element {
  const page = usePage();
  const question = useSignal("");
  const at = useSignal(0);
  const list = useRef<HTMLUListElement>(null);
  const run = useErrand(open, engine);
  const ground = { state: page.state.value, route: page.route.value, charts: page.charts.value };
  const found = soughtErrands(question.value, errandsOf(ground)).slice(0, SHOWN_MAX);
  const chosen = Math.min(at.value, found.length - 1);
  const take = (errand: Errand | undefined): void => {
    if (errand === undefined || errand.refusal !== null) return;
    onClose();
    run(errand.deed);
  };
  const onKey = (event: KeyboardEvent): void => {
    const next = moved(event.key, chosen, found.length);
    if (next === null && event.key !== "Enter") return;
    event.preventDefault();
    if (next === null) take(found[chosen]);
    else at.value = next;
  };
  useEffect(() => {
    list.current?.children[chosen]?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  return (
    <Dialog title="Go to, or do" onClose={onClose}>
      <PaletteField
        question={question.value}
        activeId={found.length === 0 ? undefined : rowId(chosen)}
        onKey={onKey}
        onInput={(text) => {
          question.value = text;
          at.value = 0;
        }}
      />
      <ul class="palette-list" id={LIST_ID} role="listbox" aria-label="What there is" ref={list}>
        {found.map((errand, i) => (
          <PaletteRow
            key={errand.id}
            errand={errand}
            index={i}
            isChosen={i === chosen}
            onPoint={() => (at.value = i)}
            onTake={() => take(errand)}
          />
        ))}
      </ul>
      <p class="quiet palette-count" role="status">
        {found.length === 0 ? "Nothing is called so." : `${found.length} found · ↑ ↓ choose · Enter does · Esc closes`}
      </p>
    </Dialog>
  );
}

interface FieldProps {
  readonly question: string;
  readonly activeId: string | undefined;
  readonly onKey: (event: KeyboardEvent) => void;
  readonly onInput: (text: string) => void;
}

function PaletteField({ question, activeId, onKey, onInput }: FieldProps): JSX.Element {
  return (
    <input
      class="field palette-field"
      role="combobox"
      aria-expanded="true"
      aria-controls={LIST_ID}
      aria-autocomplete="list"
      aria-activedescendant={activeId}
      aria-label="Go to, or do"
      placeholder="a run, a chart, pause, compare, dark…"
      autocomplete="off"
      spellcheck={false}
      data-testid="palette-field"
      value={question}
      onKeyDown={onKey}
      onInput={(event) => onInput(event.currentTarget.value)}
    />
  );
}

/** Where a key leads in a list of so many; null where it leads nowhere. */
function moved(key: string, from: number, count: number): number | null {
  if (count === 0) return null;
  if (key === "ArrowDown") return (from + 1) % count;
  if (key === "ArrowUp") return (from + count - 1) % count;
  if (key === "PageDown") return Math.min(count - 1, from + 8);
  return key === "PageUp" ? Math.max(0, from - 8) : null;
}
