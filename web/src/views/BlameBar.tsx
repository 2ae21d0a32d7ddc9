/** The blame as a bar whose percents add up to 100, and in words. */
import type { JSX } from "preact";
import { colourOf } from "../charts/theme";
import { type BlameShare, partText, sharesOf, wholeText } from "../lib/blame";
import { look } from "../lib/palette";
import type { Blame } from "../lib/blamed";
import { usePage } from "./context";

interface Props {
  blame: Blame;
  components: readonly string[];
  /** What the card says already; the blame's sentence is not said twice. */
  said: string;
}

export function BlameBar({ blame, components, said }: Props): JSX.Element {
  const theme = usePage().theme.value;
  const shares = sharesOf(blame.parts);
  const colour = (component: string): string => colourOf(theme, look(Math.max(0, components.indexOf(component))));
  return (
    <div class="blame" data-testid="blame">
      {!said.includes(blame.text) && <p class="blame-text">{blame.text}</p>}
      <BlameStrip shares={shares} colour={colour} />
      {shares.length > 0 && <p class="blame-sum number quiet">{wholeText(blame)}</p>}
      <ul class="blame-parts">
        {shares.map((part, i) => (
          <li key={i}>
            <PartDot cause={part.cause} fill={colour(part.component)} />
            <span>{partText(part)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

interface StripProps {
  shares: readonly BlameShare[];
  colour: (component: string) => string;
}

/** The bar alone; nothing where there are no parts. */
export function BlameStrip({ shares, colour }: StripProps): JSX.Element | null {
  if (shares.length === 0) return null;
  return (
    <svg
      class="blame-bar"
      viewBox="0 0 100 6"
      preserveAspectRatio="none"
      role="img"
      aria-label={shares.map(partText).join("; ")}
    >
      {placed(shares.map((part) => part.width * 100)).map(({ from, width }, i) => {
        const part = shares[i];
        // What held against the jump is half as high, and has a minus in its line.
        const isAgainst = (part?.percent ?? 0) < 0;
        return (
          part && (
            <rect
              key={i}
              x={from}
              y={isAgainst ? 3 : 0}
              width={Math.max(0, width - 0.4)}
              height={isAgainst ? 3 : 6}
              fill={colour(part.component)}
              class={classOf(part.cause)}
            />
          )
        );
      })}
    </svg>
  );
}

/** Which part of the bar a line of text is about. */
export function PartDot({ cause, fill }: { cause: string; fill: string }): JSX.Element {
  return (
    <svg class="dot" viewBox="0 0 8 8" aria-hidden="true">
      <rect width="8" height="8" rx="2" fill={fill} class={classOf(cause)} />
    </svg>
  );
}

function classOf(cause: string): string {
  return cause === "schedule" ? "blame-schedule" : "blame-loss";
}

function placed(widths: readonly number[]): { from: number; width: number }[] {
  let from = 0;
  return widths.map((width) => {
    const place = { from, width };
    from += width;
    return place;
  });
}
