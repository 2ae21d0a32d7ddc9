/** What to do when there is no run yet: install, say where the server is, instrument a loop; and what it waits for. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { CopyBlock } from "./CopyBlock";
import { usePage } from "./context";

const INSTALL = "pip install lossguard";
const LOOP = `import lossguard as lg

run = lg.init(project="demo", name="first", model=model, optimizer=opt,
              losses={"ce": 1.0, "aux": 0.1})
for batch in run.steps(loader):
    loss = run.total(ce=ce(batch), aux=aux(batch))
    loss.backward(); opt.step(); opt.zero_grad()
run.finish()`;
const DEMO = "lossguard demo denovo";

export function EmptyState(): JSX.Element {
  const page = usePage();
  const isRevealed = useSignal(false);
  const { scopes, link } = page.state.value;
  const canIngest = scopes.some((scope) => scope === "admin" || scope === "ingest");
  const token = page.actions.revealToken() ?? "";
  const shown = canIngest && isRevealed.value ? token : "••••••••";
  const where = (said: string): string => `export LOSSGUARD_URL=${page.serverAddress}\nexport LOSSGUARD_TOKEN=${said}`;
  return (
    <main class="empty" data-testid="empty-state">
      <h1>No run yet</h1>
      <p role="status" data-testid="empty-waits">
        {link === "up"
          ? `This page waits for a trainer to connect to ${page.serverAddress}. The run appears here by itself, before its first step.`
          : "The server cannot be reached at present. This page waits for it, and then for a trainer to connect."}
      </p>
      <h2>1. Install it where the training runs</h2>
      <CopyBlock name="install" text={INSTALL} />
      <h2>2. Say where this server is</h2>
      <p>Not needed on the server's own machine, as its own user: there it is found by itself.</p>
      <CopyBlock
        name="where"
        text={where(shown)}
        copied={canIngest ? where(token) : where("")}
        note={canIngest ? "The copy holds the token." : "Put in the token that you were given."}
      />
      {canIngest ? (
        <p>
          <button
            type="button"
            class="button"
            data-testid="empty-token"
            aria-pressed={isRevealed.value}
            onClick={() => (isRevealed.value = !isRevealed.value)}
          >
            {isRevealed.value ? "Hide the token" : "Show the token"}
          </button>{" "}
          <span class="quiet">
            {scopes.includes("admin") && "It is this page's own, the admin's. For a trainer, better make one: lossguard token create trainer --scope ingest"}
          </span>
        </p>
      ) : (
        <p class="view-only">View only: your token may look, not send. Ask for one with the scope ingest.</p>
      )}
      <h2>3. Put these lines into a training loop</h2>
      <CopyBlock name="loop" text={LOOP} />
      <h2>Or see it at work first</h2>
      <CopyBlock name="demo" text={DEMO} />
    </main>
  );
}
