/** How much of what there is is drawn: folding, detail under way, gaps. */
import type { JSX } from "preact";
import { densityText } from "../../lib/density";
import { step } from "../../lib/format";
import { type Gap, gapsText } from "../../lib/gaps";
import { around } from "../../lib/pan";
import { usePage } from "../context";
import { isDetailed, shownDensity } from "./density";
import { drawnWindow } from "./windows";

export function Fidelity(): JSX.Element | null {
  const page = usePage();
  void page.pointsSeen.value;
  const window = drawnWindow(page);
  if (window === null) return null;
  const density = shownDensity(page, window);
  const isCovered = isDetailed(page, window);
  const lacksDetail = density !== null && !density.isDetailed && page.range.value.kind !== "all" && !isCovered;
  const said = densityText(density);
  return (
    <>
      {said !== "" && (
        <span
          class="range-text number"
          data-testid="density"
          title="So many points of the run share a column of pixels: its lowest and highest are drawn, and every NaN is marked. Zoom in to see each."
        >
          {said}
        </span>
      )}
      {lacksDetail && (
        <span class="range-text" data-testid="detail-loading">
          {page.state.value.link === "down" ? "detail waits for the server" : "detail is loading…"}
        </span>
      )}
      <Gaps gaps={page.gaps.value} />
    </>
  );
}

/** Pressing it leads to the largest. */
function Gaps({ gaps }: { gaps: readonly Gap[] }): JSX.Element | null {
  const { store, actions } = usePage();
  const [first, ...others] = gaps;
  if (first === undefined) return null;
  const largest = others.reduce((most, gap) => (gap.steps > most.steps ? gap : most), first);
  const told = [...new Set(gaps.map((gap) => gap.reason).filter((reason) => reason !== ""))];
  const where = `The largest: steps ${step(largest.from)} to ${step(largest.to)}. Hatched on the charts; press to look at it.`;
  const why = told.length > 0 ? `${told.join("; ")}. ` : "";
  const zoom = (): void => {
    const extent = store.extent();
    if (extent !== null) actions.setRange(around(Math.round((largest.from + largest.to) / 2), extent));
  };
  return (
    <button type="button" class="button button-small gaps-button" data-testid="gaps" title={`${why}${where}`} onClick={zoom}>
      {gapsText(gaps)}
    </button>
  );
}
