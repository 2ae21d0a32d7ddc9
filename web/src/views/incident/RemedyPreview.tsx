/** What would come of the remedy, before it is pressed: in numbers where they can be computed, else in a sentence. */
import type { JSX } from "preact";
import { promiseText } from "../../lib/deeds";
import type { Fields } from "../../lib/decode";
import { text } from "../../lib/decode";
import type { Remedy, Run } from "../../lib/models";
import { withoutTerms } from "../../lib/terms";
import { usePage } from "../context";
import { useWhatIf } from "../steering/useWhatIf";
import { WhatIfView } from "../steering/WhatIfView";
import { canControl } from "../../lib/state";

/** What the server can compute from the steps that were. */
const COMPUTED: ReadonlySet<string> = new Set(["set_weight", "scale_weights", "gate"]);

export function RemedyPreview({ remedy, run }: { remedy: Remedy; run: Run }): JSX.Element | null {
  const page = usePage();
  const isComputed = COMPUTED.has(remedy.kind);
  const args: Fields | null = isComputed && canControl(page.state.value) ? withoutTerms(remedy.args) : null;
  const foreseen = useWhatIf(run.id, remedy.kind, args);
  if (args === null)
    return isComputed ? null : (
      <p class="remedy-promise" data-testid="remedy-promise">
        {promiseText(remedy.kind, remedy.args, { step: run.step, position: null, stage: null, isHeld: false })}
      </p>
    );
  const component = text(args["component"]);
  return (
    <div class="remedy-preview">
      <WhatIfView
        foreseen={foreseen}
        component={component === "" ? null : component}
        change="If pressed:"
        atOnce=""
        testid="remedy-what-if"
      />
    </div>
  );
}
