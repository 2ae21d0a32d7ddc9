/** Asks for a token when there is none, or when the server refused it. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { usePage } from "./context";

export function TokenGate(): JSX.Element {
  const { actions } = usePage();
  const typed = useSignal("");
  const give = (event: SubmitEvent): void => {
    event.preventDefault();
    if (typed.value.trim() !== "") actions.giveToken(typed.value);
  };
  return (
    <main class="empty" data-testid="token-gate">
      <h1>A token is needed</h1>
      <p>
        Open the address that “lossguard serve” printed (it carries the token), or paste the token here. It stays in
        this tab only.
      </p>
      <form class="token-form" onSubmit={give}>
        <input
          class="field"
          type="password"
          autocomplete="off"
          aria-label="Token"
          value={typed.value}
          onInput={(event) => (typed.value = event.currentTarget.value)}
        />
        <button type="submit" class="button button-main">
          Enter
        </button>
      </form>
    </main>
  );
}
