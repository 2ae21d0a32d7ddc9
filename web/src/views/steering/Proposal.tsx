/** Something a person is about to do: what will happen, for how long, what would have come of it; send it, or forget it. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Fields } from "../../lib/decode";
import { type Ground, promiseText } from "../../lib/deeds";
import { Terms, useTerms } from "./Terms";
import { useVersion } from "./useOrder";
import { useWhatIf } from "./useWhatIf";
import { WhatIfView } from "./WhatIfView";

export interface ProposalProps {
  readonly run: string;
  readonly kind: string;
  /** null: what was typed cannot be sent */
  readonly args: Fields | null;
  readonly label: string;
  /** names its parts to tests and, in fields, to people */
  readonly name: string;
  readonly ground: Ground;
  readonly hasLease?: boolean;
  readonly hasWhatIf?: boolean;
  /** the component whose share is said */
  readonly component?: string | null;
  readonly isDisabled: boolean;
  readonly onSend: (args: Fields, seen: number) => void;
  readonly onForget: () => void;
}

export function Proposal(props: ProposalProps): JSX.Element {
  const { run, kind, args, label, name, ground, hasLease = false, hasWhatIf = false, component = null } = props;
  const terms = useTerms();
  // What was on the screen when this was opened.
  const [seen] = useState(useVersion());
  const whole = args === null || terms.fault !== null ? null : { ...args, ...terms.args };
  // Without its lease: over the last steps that would long be over.
  const foreseen = useWhatIf(run, kind, hasWhatIf ? args : null);
  return (
    <div
      class="proposal"
      data-testid={`proposal-${name}`}
      onKeyDown={(event) => {
        if (event.key === "Escape") props.onForget();
      }}
    >
      {whole !== null && <p class="promise">{promiseText(kind, whole, ground)}</p>}
      {hasLease && <Terms terms={terms} name={name} hasRamp={false} isDisabled={props.isDisabled} />}
      {hasWhatIf && args !== null && (
        <WhatIfView foreseen={foreseen} component={component} atOnce="" testid={`what-if-${name}`} />
      )}
      <div class="proposal-deeds">
        <button
          type="button"
          class="button button-main"
          data-testid={`send-${name}`}
          disabled={props.isDisabled || whole === null}
          onClick={() => {
            if (whole !== null) props.onSend(whole, seen);
          }}
        >
          {label}
        </button>
        <button type="button" class="button button-small" data-testid={`forget-${name}`} onClick={props.onForget}>
          forget it
        </button>
      </div>
    </div>
  );
}
