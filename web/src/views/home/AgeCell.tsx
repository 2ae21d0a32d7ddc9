/** The age of a run's newest data, as the page's clock goes on. */
import type { JSX } from "preact";
import { duration } from "../../lib/format";
import type { Run } from "../../lib/models";
import { type Age, type Link, ageAt, ageWord, isOver } from "../../lib/state";
import { usePage } from "../context";

export function AgeCell({ run, age, link }: { run: Run; age: Age | undefined; link: Link }): JSX.Element {
  const ageS = ageAt(age, usePage().nowMs.value);
  // Its state stands at the left; how long ago it ended, or was heard of, is what is asked here.
  if (isOver(run)) return <span class="tone-calm">{duration(ageS)}</span>;
  if (run.state === "lost" && link !== "down") return <span class="tone-critical">{duration(ageS)}</span>;
  const word = ageWord(link, run, ageS);
  return <span class={`tone-${word.tone}`}>{word.text}</span>;
}
