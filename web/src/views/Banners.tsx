/** What is wrong with the server, for as long as it is: gone, or unable to store. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { duration } from "../lib/format";
import { usePage } from "./context";

export function Banners(): JSX.Element {
  const { trouble } = usePage();
  return (
    <div class="banners">
      <Gone />
      {trouble.value !== null && (
        <p class="trouble" role="alert" data-testid="trouble">
          {trouble.value} Training goes on, and the trainers keep their data.
        </p>
      )}
    </div>
  );
}

/** Not a live region: the link's word in the top bar is told once, the seconds here are only to be seen. */
function Gone(): JSX.Element | null {
  const { state, nowMs } = usePage();
  const { link, runsLoaded } = state.value;
  const sinceMs = useSignal<number | null>(null);
  useEffect(() => {
    sinceMs.value = link === "down" ? nowMs.peek() : null;
  }, [link, sinceMs, nowMs]);
  if (link !== "down") return null;
  const seconds = sinceMs.value === null ? 0 : (nowMs.value - sinceMs.value) / 1000;
  return (
    <p class="trouble" data-testid="gone">
      <strong>The server has been gone for {sinceText(seconds)}.</strong>{" "}
      {runsLoaded ? "What is on the screen is what came before; nothing can be changed until it is back." : ""} The page
      tries again by itself. Training goes on.
    </p>
  );
}

function sinceText(seconds: number): string {
  return seconds < 10 ? `${Math.floor(Math.max(0, seconds))} s` : duration(seconds);
}
