/** How much the lines of all charts are smoothed. */
import type { JSX } from "preact";
import { SMOOTHINGS, isSmoothing } from "../../lib/smooth";
import { usePage } from "../context";

export function SmoothingField(): JSX.Element {
  const { prefs } = usePage();
  return (
    <label class="smoothing">
      smooth{" "}
      <select
        class="field"
        data-testid="smoothing"
        title="A running mean over a part of the steps shown, drawn upon all of the points (s)"
        value={prefs.value.smoothing}
        onChange={({ currentTarget: { value } }) => {
          if (isSmoothing(value)) prefs.value = { ...prefs.value, smoothing: value };
        }}
      >
        {SMOOTHINGS.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    </label>
  );
}
