/** The whole run's total with the window that the charts show drawn on it; it can be dragged. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { drawMap } from "../../charts/minimap";
import { type Range, type Window } from "../../lib/fold";
import { step } from "../../lib/format";
import { clockOf } from "../../lib/gaps";
import { roomyWindow } from "../../lib/room";
import { type Page, usePage } from "../context";
import { dragOn } from "./mapDrag";
import { shownWindow } from "./windows";

const HEIGHT_PX = 34;

export function MiniMap(): JSX.Element {
  const page = usePage();
  const host = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => keepMap(host.current, canvas.current, page), [page]);
  const whole = page.store.extent();
  const shown = shownWindow(page);
  void page.pointsSeen.value;
  return (
    <div
      class="minimap"
      ref={host}
      data-testid="minimap"
      data-from={shown === null ? "" : Math.ceil(shown.from)}
      data-to={shown === null ? "" : Math.floor(shown.to)}
      role="img"
      aria-label={
        shown === null || whole === null
          ? "Map of the run, empty"
          : `Map of the run, steps ${step(whole[0])} to ${step(whole[1])}; the charts show ${step(Math.ceil(shown.from))} to ${step(Math.floor(shown.to))}. Left and right move it.`
      }
      title="The whole run. Drag the window to move it, its edges to widen it; press beside it to go there."
    >
      <canvas ref={canvas} />
    </div>
  );
}

function keepMap(host: HTMLElement | null, canvas: HTMLCanvasElement | null, page: Page): () => void {
  if (host === null || canvas === null) return () => undefined;
  const onMap = (range: Range): Window | null => roomyWindow(range, page.store.extent(), page.isGoingOn.peek());
  const wholeOf = (): Window | null => onMap({ kind: "all" });
  const draw = (): void => {
    const whole = wholeOf();
    const shown = dragged.preview() ?? onMap(page.range.peek());
    // The map is as wide as the charts' plots, so that a step stands below its place on the map.
    if (whole === null || shown === null || page.columns.peek() === 0) return;
    const total = clockOf(page.store.buffers);
    const [overlay, gaps, theme] = [page.overlay.peek(), page.gaps.peek(), page.theme.peek()];
    drawMap(canvas, page.columns.peek(), HEIGHT_PX, { total, whole, shown, overlay, gaps, theme });
  };
  const dragged = dragOn(canvas, {
    whole: wholeOf,
    shown: () => onMap(page.range.peek()),
    onMoved: draw,
    onRange: (range) => page.actions.setRange(range),
  });
  const stop = page.loop.add(host, (isTip) => {
    if (!isTip) draw();
    return !isTip;
  });
  const unsized = page.columns.subscribe(draw);
  return () => {
    stop();
    unsized();
    dragged.end();
  };
}
