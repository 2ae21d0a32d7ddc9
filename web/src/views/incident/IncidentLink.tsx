/** The incident's address, for a colleague: a link to follow or copy by hand, and a button that copies it. */
import type { JSX } from "preact";
import { NEWEST, hashOf } from "../../lib/route";
import { usePage } from "../context";

export function IncidentLink({ run, alert }: { run: string; alert: string }): JSX.Element {
  const page = usePage();
  const hash = hashOf({ ...NEWEST, run, alert });
  return (
    <span class="incident-link">
      <a href={hash} data-testid="incident-link" title="The address of this incident; it holds no token">
        link
      </a>
      <button
        type="button"
        class="button button-small"
        data-testid="incident-copy"
        onClick={() => page.actions.copyText(`${page.serverAddress}/${hash}`)}
      >
        copy
      </button>
    </span>
  );
}
