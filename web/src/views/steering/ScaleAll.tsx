/** All weights at once, by one factor: shares stay, the total moves. */
import type { JSX } from "preact";
import type { Ground } from "../../lib/deeds";
import type { Run } from "../../lib/models";
import { ValueControl } from "./ValueControl";

const FACTORS: readonly [number, number] = [-1e9, 1e9];

export function ScaleAll({ run, ground, isAllowed }: { run: Run; ground: Ground; isAllowed: boolean }): JSX.Element {
  return (
    <ValueControl
      run={run.id}
      kind="scale_weights"
      title="All weights ×"
      name="scale-all"
      label="Scale all weights"
      now="by a factor"
      bounds={FACTORS}
      argsOf={(factor) => ({ factor })}
      ground={ground}
      hasWhatIf
      isAllowed={isAllowed}
    />
  );
}
