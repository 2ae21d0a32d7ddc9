/** When something was by the clock, and how long ago; nothing where no time is known. */
import type { JSX } from "preact";
import { agoText, clockText } from "../../lib/moments";
import { usePage } from "../context";

export function When({ atS }: { atS: number | null }): JSX.Element | null {
  const { wallS } = usePage();
  const at = clockText(atS, wallS.value);
  if (atS === null || at === "") return null;
  return (
    <>
      {" · "}
      <time dateTime={new Date(atS * 1000).toISOString()} title={new Date(atS * 1000).toLocaleString()}>
        {at}, {agoText(atS, wallS.value)}
      </time>
    </>
  );
}
