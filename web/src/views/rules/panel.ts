/**
 * What stands behind the panel of rules: what was loaded, what is drafted, what is being tried.
 *
 * Rules of this file: no DOM. What is set at a place is read again before it is replaced, so that what somebody else
 * set meanwhile is kept; an answer that comes after the panel was closed or moved on changes nothing.
 */
import { computed, signal } from "@preact/signals";
import { faultOf } from "../../lib/answer";
import type { Answer } from "../../lib/answer";
import type { Configuration, Over, Place, Rule, RulesDesk, RulesView, Watch } from "../../lib/rules";
import {
  type Change,
  type Draft,
  NO_DRAFT,
  changesOf,
  isSound,
  overlaid,
  resetAll,
  spelledOut,
  standing,
  withDraft,
  withoutSet,
} from "../../lib/rulesDraft";
import type { Progress, Trial } from "../../lib/rulesTrial";

export type Scope = "run" | "project";

interface Loaded {
  readonly run: RulesView;
  readonly project: RulesView;
  readonly server: RulesView;
}

/** What was asked to be tried: shown with its result, as the draft may have moved on. */
export interface Tried {
  readonly what: "preview" | "backtest";
  readonly trial: Trial;
}

export class RulesPanel {
  readonly loaded = signal<Loaded | null>(null);
  readonly scope = signal<Scope>("run");
  readonly draft = signal<Draft>(NO_DRAFT);
  readonly picked = signal<string | null>(null);
  readonly tried = signal<Tried | null>(null);
  readonly progress = signal<Progress | "begun" | null>(null);
  readonly isSetting = signal(false);
  readonly fault = signal<string | null>(null);
  readonly said = signal<string | null>(null);

  readonly view = computed<RulesView | null>(() => this.loaded.value?.[this.scope.value] ?? null);
  /** what counts where this place says nothing */
  readonly beneath = computed<readonly Rule[]>(
    () => (this.scope.value === "run" ? this.loaded.value?.project : this.loaded.value?.server)?.rules ?? [],
  );
  readonly changes = computed<readonly Change[]>(() =>
    changesOf(this.draft.value, this.view.value?.rules ?? [], this.beneath.value),
  );
  readonly isSound = computed(() => isSound(this.draft.value, this.view.value?.rules ?? []));

  private trying: AbortController | null = null;

  constructor(
    private readonly desk: RulesDesk,
    readonly run: string,
    readonly project: string,
  ) {}

  get place(): Place {
    return this.scope.value === "run" ? { kind: "run", run: this.run } : { kind: "project", project: this.project };
  }

  async load(): Promise<void> {
    const [run, project, server] = await Promise.all([
      this.desk.view({ kind: "run", run: this.run }),
      this.desk.view({ kind: "project", project: this.project }),
      this.desk.view({ kind: "server" }),
    ]);
    if (run.ok && project.ok && server.ok)
      this.loaded.value = { run: run.value, project: project.value, server: server.value };
    else this.fault.value = faultOf(run) ?? faultOf(project) ?? faultOf(server);
  }

  edit(draft: Draft): void {
    this.draft.value = draft;
    this.tried.value = null; // it was about other values
    this.said.value = null;
    this.fault.value = null;
  }

  choose(scope: Scope): void {
    this.scope.value = scope;
    this.edit(NO_DRAFT);
  }

  resetAll(): void {
    this.edit(resetAll(this.view.value?.own ?? {}));
  }

  /** What these changes would bring in the run. */
  preview(): Promise<void> {
    const { loaded, draft } = this;
    if (loaded.value === null) return Promise.resolve();
    const { run, project } = loaded.value;
    const asked =
      this.scope.value === "run"
        ? withDraft(run.own, draft.value)
        : // The preview is of this run's place, over the project's as it is: the draft is laid between the two.
          overlaid(overlaid(project.own, spelledOut(draft.value, this.beneath.value)), run.own);
    return this.attempt("preview", (watch) => this.desk.preview(this.run, asked, watch));
  }

  backtest(runs: readonly string[], over: Over): Promise<void> {
    const view = this.view.value;
    if (view === null) return Promise.resolve();
    const asked = over === "run" ? spelledOut(this.draft.value, this.beneath.value) : this.standing(view);
    return this.attempt("backtest", (watch) => this.desk.backtest(runs, asked, over, watch));
  }

  private standing(view: RulesView): Configuration {
    return standing(view, this.beneath.value, this.draft.value);
  }

  cancel(): void {
    this.trying?.abort();
    this.trying = null;
    this.progress.value = null;
  }

  private async attempt(what: Tried["what"], ask: (watch: Watch) => Promise<Answer<Trial>>): Promise<void> {
    this.cancel();
    const mine = new AbortController();
    this.trying = mine;
    this.fault.value = null;
    this.progress.value = "begun";
    const onProgress = (progress: Progress): void => {
      if (this.trying === mine) this.progress.value = progress;
    };
    const answer = await ask({ onProgress, signal: mine.signal });
    if (this.trying !== mine) return;
    this.cancel();
    if (answer.ok) this.tried.value = { what, trial: answer.value };
    else this.fault.value = answer.fault;
  }

  /** Sets the draft at its place; `words` say what was set, for the line that stays. */
  async set(words: string): Promise<void> {
    this.isSetting.value = true;
    this.fault.value = null;
    const { place } = this;
    const draft = this.draft.value;
    const now = await this.desk.view(place);
    const answer = now.ok ? await this.desk.set(place, withDraft(now.value.own, draft)) : now;
    this.isSetting.value = false;
    if (!answer.ok) {
      this.fault.value = answer.fault;
      return;
    }
    const rest = withoutSet(this.draft.value, draft);
    this.edit(rest);
    // What was typed meanwhile is not set, and the line speaks of that.
    if (rest === NO_DRAFT) this.said.value = words;
    await this.load();
  }
}
