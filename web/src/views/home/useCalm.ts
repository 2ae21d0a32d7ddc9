/** A signal that changes hundreds of times a second, for a view that nobody reads so fast. */
import { type ReadonlySignal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

/** The first change of a quiet signal at once, the rest at most every so often. */
export function useCalm<T>(source: ReadonlySignal<T>, everyMs: number): T {
  const calm = useSignal(source.peek());
  useEffect(() => {
    let timer = 0;
    let lastMs = -Infinity;
    const take = (): void => {
      timer = 0;
      lastMs = performance.now();
      calm.value = source.peek();
    };
    const stop = source.subscribe(() => {
      if (timer !== 0) return;
      const waitMs = lastMs + everyMs - performance.now();
      if (waitMs <= 0) take();
      else timer = window.setTimeout(take, waitMs);
    });
    return () => {
      stop();
      window.clearTimeout(timer);
    };
  }, [source, everyMs, calm]);
  return calm.value;
}
