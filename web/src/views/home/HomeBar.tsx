/** What is looked for in the list: words, a tag, a state; and how it is shown. */
import type { JSX } from "preact";
import { WISH, type Wish, tagsOf } from "../../lib/home";
import { RUN_STATES, type Run } from "../../lib/models";

export const SEARCH_ID = "home-search";

interface HomeBarProps {
  readonly wish: Wish;
  readonly runs: readonly Run[];
  /** what there is, and what of it is shown */
  readonly counts: string;
  readonly deletedCount: number;
  readonly onWish: (wish: Partial<Wish>) => void;
  readonly onDeleted: () => void;
}

export function HomeBar({ wish, runs, counts, deletedCount, onWish, onDeleted }: HomeBarProps): JSX.Element {
  const tags = tagsOf(runs);
  const archived = runs.filter((run) => run.archived).length;
  const isNarrowed = wish.search !== "" || wish.tag !== null || wish.state !== null;
  const chosenTag = wish.tag !== null && tags.every(({ tag }) => tag !== wish.tag) ? [wish.tag] : [];
  return (
    <div class="home-bar" role="search">
      <input
        id={SEARCH_ID}
        class="field home-search"
        type="search"
        placeholder="Search name, project, label, tag, state, device, note  ( / )"
        aria-label="Search runs by name, project, label, tag, state, device or note"
        data-testid="home-search"
        value={wish.search}
        onInput={(event) => onWish({ search: event.currentTarget.value })}
      />
      <Choice
        label="State"
        testid="home-pick-state"
        value={wish.state ?? ""}
        options={RUN_STATES.map((state) => [state, state])}
        onPick={(state) => onWish({ state: RUN_STATES.find((each) => each === state) ?? null })}
      />
      <Choice
        label="Tag"
        testid="home-pick-tag"
        value={wish.tag ?? ""}
        options={[...chosenTag.map((tag) => [tag, tag] as const), ...tags.map(({ tag, count }) => [tag, `${tag} (${count})`] as const)]}
        onPick={(tag) => onWish({ tag: tag === "" ? null : tag })}
      />
      <Check label="By project" isOn={wish.isGrouped} onTurn={(isGrouped) => onWish({ isGrouped })} />
      <Check
        label={`Archived${archived > 0 ? ` (${archived})` : ""}`}
        isOn={wish.showsArchived}
        onTurn={(showsArchived) => onWish({ showsArchived })}
      />
      {isNarrowed && (
        <button
          type="button"
          class="button button-small"
          data-testid="home-all"
          onClick={() => onWish({ search: WISH.search, tag: WISH.tag, state: WISH.state })}
        >
          Show all
        </button>
      )}
      <span class="home-counts quiet" role="status" data-testid="home-counts">
        {counts}
      </span>
      {deletedCount > 0 && (
        <button type="button" class="button button-small" data-testid="home-deleted" onClick={onDeleted}>
          Deleted ({deletedCount})
        </button>
      )}
    </div>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly testid: string;
  readonly value: string;
  readonly options: readonly (readonly [value: string, text: string])[];
  readonly onPick: (value: string) => void;
}

function Choice({ label, testid, value, options, onPick }: ChoiceProps): JSX.Element {
  return (
    <label class="home-choice">
      <span>{label}</span>
      <select
        class="field"
        data-testid={testid}
        value={value}
        onChange={(event) => onPick(event.currentTarget.value)}
      >
        <option value="">any</option>
        {options.map(([each, text]) => (
          <option key={each} value={each}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

function Check({ label, isOn, onTurn }: { label: string; isOn: boolean; onTurn: (isOn: boolean) => void }): JSX.Element {
  return (
    <label class="home-check">
      <input type="checkbox" checked={isOn} onChange={(event) => onTurn(event.currentTarget.checked)} />
      {label}
    </label>
  );
}
