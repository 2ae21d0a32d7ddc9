/** A chart in Plotly, in a dialog over the page. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Picture } from "../charts/picture";
import { PlotlyMissing, explore } from "../charts/plotly";
import { Dialog } from "./Dialog";

export function ExploreDialog({ picture, onClose }: { picture: Picture; onClose: () => void }): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const said = useSignal<string | null>("Loading the explorer…");
  useEffect(() => {
    let isOpen = true;
    let takeAway = (): void => undefined;
    if (host.current === null) return undefined;
    explore(host.current, picture).then(
      (purge) => {
        takeAway = purge;
        if (isOpen) said.value = null;
        else purge();
      },
      (reason: unknown) => {
        said.value = reason instanceof PlotlyMissing ? reason.message : "The explorer could not draw this chart.";
        console.error(reason);
      },
    );
    return () => {
      isOpen = false;
      takeAway();
    };
  }, [picture, said]);
  return (
    <Dialog title={picture.spec.title} isWide onClose={onClose}>
      {said.value !== null && <p class="quiet">{said.value}</p>}
      <div class="explore-host" ref={host} data-testid="explore" />
    </Dialog>
  );
}
