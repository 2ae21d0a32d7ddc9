/**
 * What stands behind the tab of policies: what is set at each place, the form that is open, and what came of it.
 *
 * Rules of this file: no DOM. What is set at a place is read again before it is replaced, so that what somebody else
 * set meanwhile is kept; of answers that overtake each other the one that was asked for last counts.
 */
import { signal } from "@preact/signals";
import { type PoliciesDesk, type PoliciesView, type PolicyDraft, type PolicyPlace, withPolicy } from "../../lib/policies";
import type { Scope } from "./panel";

type Views = Readonly<Record<Scope, PoliciesView | null>>;

export class PoliciesBoard {
  readonly views = signal<Views>({ run: null, project: null });
  readonly draft = signal<PolicyDraft | null>(null);
  readonly isSetting = signal(false);
  readonly fault = signal<string | null>(null);
  readonly said = signal<string | null>(null);

  private asked = 0;

  constructor(
    private readonly desk: PoliciesDesk,
    private readonly run: string,
    private readonly project: string,
  ) {}

  async load(scope: Scope): Promise<void> {
    const mine = (this.asked += 1);
    const answer = await this.desk.view(this.placeOf(scope));
    if (mine !== this.asked) return;
    if (answer.ok) this.views.value = { ...this.views.value, [scope]: answer.value };
    // What is shown stays while the server is away.
    else if (this.views.value[scope] === null) this.fault.value = answer.fault;
  }

  edit(draft: PolicyDraft | null): void {
    this.draft.value = draft;
    this.said.value = null;
    this.fault.value = null;
  }

  /** Sets the form's policy at its place; `words` say what was set, for the line that stays. */
  async set(scope: Scope, words: string): Promise<void> {
    const draft = this.draft.value;
    if (draft === null || this.isSetting.value) return;
    this.isSetting.value = true;
    this.fault.value = null;
    const place = this.placeOf(scope);
    const now = await this.desk.view(place);
    const answer = now.ok ? await this.desk.set(place, withPolicy(now.value.own, draft)) : now;
    this.isSetting.value = false;
    if (!answer.ok) {
      this.fault.value = answer.fault;
      return;
    }
    this.asked += 1; // an answer that is under way was read before this
    this.views.value = { ...this.views.value, [scope]: answer.value };
    if (this.draft.value === draft) this.draft.value = null;
    this.said.value = words;
  }

  private placeOf(scope: Scope): PolicyPlace {
    return scope === "run" ? { kind: "run", run: this.run } : { kind: "project", project: this.project };
  }
}
