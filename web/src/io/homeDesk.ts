/**
 * Asks the server about runs as things: what people say of them, which are deleted, and their small curves.
 *
 * Rules of this file: what changed is told to the page by the answer, not only by the socket, which may be away; a run
 * that this page deletes leaves it at once, and comes back when the server refuses.
 */
import type { Answer } from "../lib/answer";
import { fields, list, items, numberOrNull, text } from "../lib/decode";
import {
  type DeletedRun,
  type HomeDesk,
  type RunChange,
  SORTS,
  TOTALS_MAX,
  type Totals,
  WISH,
  type Wish,
} from "../lib/home";
import { RUN_STATES, type Run, runOf } from "../lib/models";
import type { Action } from "../lib/state";
import { answerOf } from "./answers";
import type { Api } from "./api";
import { pathOf } from "./history";

const KEY = "lossguard.home";

export interface HomeParts {
  readonly api: Pick<Api, "get" | "post" | "patch" | "remove">;
  readonly dispatch: (action: Action) => void;
  readonly nowMs: () => number;
  readonly storage: Storage;
}

export class HttpHomeDesk implements HomeDesk {
  constructor(private readonly parts: HomeParts) {}

  readonly change = (run: string, change: RunChange): Promise<Answer<Run>> =>
    answerOf(this.parts.api.patch(pathOf(run), { ...change }).then((answer) => this.told(answer)));

  readonly remove = async (run: Run): Promise<Answer<null>> => {
    this.parts.dispatch({ type: "gone", run: run.id, isOwn: true });
    const answer = await answerOf(this.parts.api.remove(pathOf(run.id)).then(() => null));
    if (!answer.ok) this.parts.dispatch({ type: "run", run, atMs: this.parts.nowMs() });
    return answer;
  };

  readonly restore = (run: string): Promise<Answer<Run>> =>
    answerOf(this.parts.api.post(`${pathOf(run)}/restore`).then((answer) => this.told(answer)));

  readonly deleted = (): Promise<Answer<readonly DeletedRun[]>> =>
    answerOf(
      this.parts.api.get("api/runs?deleted=true").then((answer) =>
        items(answer, (item) => ({ run: runOf(item), untilS: numberOrNull(fields(item)["restorable_until_s"]) }))
          .sort((a, b) => (b.run.deletedS ?? 0) - (a.run.deletedS ?? 0)),
      ),
    );

  readonly totals = (runs: readonly string[]): Promise<Answer<Totals>> => {
    const asked = new URLSearchParams(runs.slice(0, TOTALS_MAX).map((run) => ["run", run]));
    return answerOf(this.parts.api.get(`api/sparks?${asked.toString()}`).then(totalsOf));
  };

  readonly remembered = (): Wish => wishOf(this.parts.storage.getItem(KEY));

  readonly remember = (wish: Wish): void => this.parts.storage.setItem(KEY, JSON.stringify(wish));

  private told(answer: unknown): Run {
    const run = runOf(answer);
    this.parts.dispatch({ type: "run", run, atMs: this.parts.nowMs() });
    return run;
  }
}

function totalsOf(answer: unknown): Totals {
  const entries = Object.entries(fields(answer)).map(([run, spark]) => {
    const totals = list(fields(spark)["totals"]);
    const steps = list(fields(spark)["steps"]);
    const points = steps.map((step, i) => [numberOrNull(step) ?? 0, numberOrNull(totals[i]) ?? Number.NaN] as const);
    return [run, points] as const;
  });
  return Object.fromEntries(entries);
}

/** What was kept may be of an older page: what cannot be read is as at first. */
export function wishOf(kept: string | null): Wish {
  const f = fields(parsed(kept));
  return {
    search: text(f["search"]),
    tag: typeof f["tag"] === "string" ? f["tag"] : null,
    state: RUN_STATES.find((state) => state === f["state"]) ?? null,
    sort: SORTS.find((sort) => sort === f["sort"]) ?? WISH.sort,
    isDown: typeof f["isDown"] === "boolean" ? f["isDown"] : WISH.isDown,
    isGrouped: f["isGrouped"] === true,
    showsArchived: f["showsArchived"] === true,
  };
}

function parsed(kept: string | null): unknown {
  try {
    return kept === null ? null : JSON.parse(kept);
  } catch {
    return null;
  }
}
