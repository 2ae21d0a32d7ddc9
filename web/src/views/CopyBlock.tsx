/** Lines to be copied, and whether they were. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

interface CopyBlockProps {
  readonly name: string;
  readonly text: string;
  /** what is copied, where that is not what is shown */
  readonly copied?: string;
  readonly note?: string;
}

export function CopyBlock({ name, text, copied = text, note = "" }: CopyBlockProps): JSX.Element {
  const said = useSignal("");
  const copy = (): void => {
    // Without https, from another machine, browsers hand out no clipboard.
    if (!isSecureContext) {
      said.value = "This browser copies nothing from a page without https: mark the lines and copy them.";
      return;
    }
    navigator.clipboard.writeText(copied).then(
      () => (said.value = `Copied. ${note}`.trim()),
      () => (said.value = "The browser refused: mark the lines and copy them."),
    );
  };
  return (
    <div class="copy-block">
      <pre class="code" tabIndex={0} data-testid={`copy-${name}-text`}>
        {text}
      </pre>
      <span class="copy-deed">
        <button type="button" class="button button-small" data-testid={`copy-${name}`} onClick={copy}>
          Copy
        </button>
        <span class="quiet" role="status">
          {said.value}
        </span>
      </span>
    </div>
  );
}
