/** A run's health by colour and by shape: circle, triangle, square with a bar, ring. */
import type { JSX } from "preact";
import type { Health } from "../lib/models";

const WORDS: Readonly<Record<Health, string>> = {
  ok: "healthy",
  warning: "warning",
  critical: "critical",
  unknown: "no data yet",
};

export function HealthLight({ health }: { health: Health }): JSX.Element {
  return (
    <svg class={`light light-${health}`} viewBox="0 0 16 16" role="img" aria-label={WORDS[health]}>
      <title>{WORDS[health]}</title>
      {health === "ok" && <circle cx="8" cy="8" r="5.5" />}
      {health === "warning" && <path d="M8 1.8 15 14H1z" />}
      {health === "critical" && <rect x="1.8" y="1.8" width="12.4" height="12.4" rx="2" />}
      {health === "critical" && <path class="light-bar" d="M8 4.2v5M8 10.8v1.6" />}
      {health === "unknown" && <circle class="light-ring" cx="8" cy="8" r="4.8" />}
    </svg>
  );
}
