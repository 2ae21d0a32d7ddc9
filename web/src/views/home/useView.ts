/** Which part of a long list is on the screen, in pixels from its beginning, wherever it is that scrolls. */
import { type Signal, useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";
import type { Heights } from "../../lib/homeWindow";

export interface Seen extends Heights {
  readonly top: number;
  readonly bottom: number;
}

/** Scrolling by less than this changes nothing: more than this is ready beyond both edges. */
const STEP_PX = 120;
const FIRST: Seen = { top: 0, bottom: 900, run: 34, group: 30 };

/** `frame` is what the list lies in, `body` what holds its entries. */
export function useView(frame: RefObject<HTMLElement | null>, body: RefObject<HTMLElement | null>): Signal<Seen> {
  const seen = useSignal<Seen>(FIRST);
  useEffect(() => {
    const look = (): void => {
      if (frame.current === null || body.current === null) return;
      const next = measured(frame.current, body.current);
      const before = seen.peek();
      if (Object.entries(next).some(([key, value]) => before[key as keyof Seen] !== value)) seen.value = next;
    };
    look();
    document.addEventListener("scroll", look, { capture: true, passive: true });
    window.addEventListener("resize", look);
    return () => {
      document.removeEventListener("scroll", look, { capture: true });
      window.removeEventListener("resize", look);
    };
  }, [frame, body, seen]);
  return seen;
}

function measured(frame: HTMLElement, body: HTMLElement): Seen {
  const around = frame.getBoundingClientRect();
  const { top } = body.getBoundingClientRect();
  const from = Math.max(0, around.top) - top;
  const to = Math.min(window.innerHeight, around.bottom) - top;
  const style = getComputedStyle(document.documentElement);
  const px = (name: string, otherwise: number): number => Number.parseFloat(style.getPropertyValue(name)) || otherwise;
  return {
    top: Math.floor(from / STEP_PX) * STEP_PX,
    bottom: Math.ceil(to / STEP_PX) * STEP_PX,
    run: px("--home-row", FIRST.run),
    group: px("--home-group", FIRST.group),
  };
}
