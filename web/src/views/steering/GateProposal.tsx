/** Gates a component off, or lets it take part again. */
import type { JSX } from "preact";
import type { Fields } from "../../lib/decode";
import { Proposal } from "./Proposal";
import type { WeightControlProps } from "./WeightControl";

interface Props extends WeightControlProps {
  readonly isDisabled: boolean;
  readonly onSend: (args: Fields, seen: number) => void;
  readonly onForget: () => void;
}

export function GateProposal({ run, component, isGated, ground, isDisabled, onSend, onForget }: Props): JSX.Element {
  const { name } = component;
  return (
    <Proposal
      key={String(isGated)}
      run={run.id}
      kind="gate"
      args={{ component: name, open: isGated }}
      label={isGated ? `Let ${name} take part` : `Gate ${name} off`}
      name={`gate-${name}`}
      ground={ground}
      hasLease={!isGated}
      hasWhatIf
      component={name}
      isDisabled={isDisabled}
      onSend={onSend}
      onForget={onForget}
    />
  );
}
