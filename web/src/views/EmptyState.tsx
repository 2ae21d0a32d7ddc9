/** What to do when there is no run yet: five lines, with the server's address in them. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { usePage } from "./context";

const LOOP = `import lossguard as lg

run = lg.init(project="demo", name="first", model=model, optimizer=opt,
              losses={"ce": 1.0, "aux": 0.1})
for batch in run.steps(loader):
    loss = run.total(ce=ce(batch), aux=aux(batch))
    loss.backward(); opt.step(); opt.zero_grad()
run.finish()`;

export function EmptyState(): JSX.Element {
  const page = usePage();
  const isRevealed = useSignal(false);
  const canIngest = page.state.value.scopes.some((scope) => scope === "admin" || scope === "ingest");
  const token = isRevealed.value ? (page.actions.revealToken() ?? "") : "••••••••";
  return (
    <section class="empty" data-testid="empty-state">
      <h1>No run yet</h1>
      <p>Put these lines into a training loop. The run appears here with its first step; no reload is needed.</p>
      <pre class="code">{LOOP}</pre>
      <p>On this machine, as this user, the server is found by itself. From elsewhere tell the trainer where it is:</p>
      <pre class="code">{`pip install lossguard\nexport LOSSGUARD_URL=${page.serverAddress}\nexport LOSSGUARD_TOKEN=${token}`}</pre>
      {canIngest ? (
        <button type="button" class="button" onClick={() => (isRevealed.value = !isRevealed.value)}>
          {isRevealed.value ? "Hide the token" : "Show the token"}
        </button>
      ) : (
        <p class="quiet">Your token may look, not send. Ask for one with the scope ingest.</p>
      )}
      <p class="quiet">Or see it at work first: lossguard demo denovo</p>
    </section>
  );
}
