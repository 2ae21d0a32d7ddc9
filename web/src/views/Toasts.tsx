/** The news in the corner: each can be closed, and leads to what it tells. */
import type { JSX } from "preact";
import { SHOWN_MAX, type Toast } from "../lib/toasts";
import { usePage } from "./context";
import { HealthLight } from "./HealthLight";

const SIGNS = { critical: "critical", warning: "warning", calm: "ok" } as const;

export function Toasts(): JSX.Element {
  const { toasts, actions } = usePage();
  const shown = toasts.value.slice(0, SHOWN_MAX);
  const more = toasts.value.length - shown.length;
  const hold = (isHeld: boolean): void => actions.holdToasts(isHeld);
  // The region stands there before its first news: a screen reader tells only what is added to one it knows.
  return (
    <section
      class="toasts"
      aria-label="News"
      aria-live="polite"
      aria-relevant="additions"
      onPointerEnter={() => hold(true)}
      onPointerLeave={() => hold(false)}
      onFocusIn={() => hold(true)}
      onFocusOut={() => hold(false)}
    >
      {shown.map((toast) => (
        <ToastCard key={toast.key} toast={toast} />
      ))}
      {more > 0 && <p class="toast-more">and {more} more</p>}
    </section>
  );
}

function ToastCard({ toast }: { toast: Toast }): JSX.Element {
  const { actions } = usePage();
  const close = (): void => actions.closeToast(toast.key);
  return (
    <div class={`toast toast-${toast.tone}`} data-testid="toast" data-tone={toast.tone}>
      {toast.tone !== "calm" && <HealthLight health={SIGNS[toast.tone]} />}
      <div class="toast-text">
        <p class="toast-title">{toast.title}</p>
        {toast.body !== "" && <p class="toast-body">{toast.body}</p>}
      </div>
      <div class="toast-deeds">
        {toast.run !== null && (
          <button
            type="button"
            class="button button-small"
            aria-label={`look at ${toast.title}`}
            data-testid="toast-look"
            onClick={() => {
              close();
              actions.lookAt(toast);
            }}
          >
            look
          </button>
        )}
        <button
          type="button"
          class="button button-small"
          aria-label={`close: ${toast.title}`}
          data-testid="toast-close"
          onClick={close}
        >
          close
        </button>
      </div>
    </div>
  );
}
