/** The heads of the columns; each says how it is sorted, and sorts. */
import type { JSX } from "preact";
import { type Wish, sortedBy } from "../../lib/home";
import { COLUMNS, type Column } from "./columns";

interface HomeHeadProps {
  readonly wish: Wish;
  readonly isAllChosen: boolean;
  readonly onWish: (wish: Wish) => void;
  readonly onChooseAll: () => void;
}

export function HomeHead({ wish, isAllChosen, onWish, onChooseAll }: HomeHeadProps): JSX.Element {
  return (
    <thead>
      <tr>
        <th class="home-choose" scope="col">
          <input
            type="checkbox"
            aria-label="Choose all runs of the list"
            data-testid="home-choose-all"
            checked={isAllChosen}
            onChange={onChooseAll}
          />
        </th>
        {COLUMNS.map((column) => (
          <ColumnHead key={column.key} column={column} wish={wish} onWish={onWish} />
        ))}
      </tr>
    </thead>
  );
}

interface ColumnHeadProps {
  readonly column: Column;
  readonly wish: Wish;
  readonly onWish: (wish: Wish) => void;
}

function ColumnHead({ column, wish, onWish }: ColumnHeadProps): JSX.Element {
  const { key, head, sort } = column;
  const isSorted = sort !== null && sort === wish.sort;
  return (
    <th
      scope="col"
      class={`home-${key}${column.isNumber ? " home-number" : ""}`}
      aria-sort={isSorted ? (wish.isDown ? "descending" : "ascending") : undefined}
    >
      {sort === null ? (
        head
      ) : (
        <button
          type="button"
          class="home-sort"
          data-testid={`home-sort-${sort}`}
          onClick={() => onWish(sortedBy(wish, sort))}
        >
          {head}
          <span aria-hidden="true">{isSorted ? (wish.isDown ? " ▾" : " ▴") : ""}</span>
        </button>
      )}
    </th>
  );
}
