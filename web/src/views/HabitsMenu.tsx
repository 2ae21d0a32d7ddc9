/** How this page tells of critical incidents: each way can be turned off, and stays so. */
import type { JSX } from "preact";
import type { Habits } from "../lib/habits";
import { type Bell, usePage } from "./context";

const ID = "habits";

const BELL: Readonly<Record<Bell, string>> = {
  on: "",
  asks: "the browser asks once whether it may",
  denied: "this browser blocks them for this page",
  unsupported: "this browser has none here; it wants https or localhost",
};

export function HabitsMenu(): JSX.Element {
  const page = usePage();
  const bell = page.bell.value;
  const habits = page.habits.value;
  const isQuiet = !habits.toasts && !habits.sound && !(habits.browser && bell === "on");
  return (
    <>
      <button
        type="button"
        class="button icon"
        popovertarget={ID}
        title="How this page tells of critical incidents"
        aria-label="How this page tells of critical incidents"
        data-testid="open-habits"
      >
        <BellIcon isOn={!isQuiet} />
      </button>
      <div class="habits" id={ID} popover="auto" role="group" aria-label="When an incident becomes critical, this page">
        <p class="habits-head">When an incident becomes critical, this page</p>
        <Habit name="toasts" label="says so in its corner" note="also what else is news" />
        <Habit name="tab" label="marks its tab" note="number in the title, colour and shape of the icon" />
        <Habit name="sound" label="plays a short sound" note="from your first click on the page on; browsers want that" />
        <Habit
          name="browser"
          label="shows a notification of the browser"
          note={BELL[bell]}
          isOn={habits.browser && bell === "on"}
          isDisabled={bell === "denied" || bell === "unsupported"}
        />
        <button type="button" class="button button-small" disabled={!habits.sound} onClick={page.actions.trySound}>
          try the sound
        </button>
      </div>
    </>
  );
}

interface HabitProps {
  readonly name: keyof Habits;
  readonly label: string;
  readonly note: string;
  readonly isOn?: boolean;
  readonly isDisabled?: boolean;
}

function Habit({ name, label, note, isOn, isDisabled = false }: HabitProps): JSX.Element {
  const { habits, actions } = usePage();
  return (
    <label class="habit">
      <input
        type="checkbox"
        checked={isOn ?? habits.value[name]}
        disabled={isDisabled}
        data-testid={`habit-${name}`}
        onChange={(event) => actions.setHabits({ [name]: event.currentTarget.checked })}
      />
      <span>
        {label}
        {note !== "" && <span class="habit-note">{note}</span>}
      </span>
    </label>
  );
}

function BellIcon({ isOn }: { isOn: boolean }): JSX.Element {
  return (
    <svg class="bell" viewBox="0 0 16 16" aria-hidden="true">
      <path d="M8 1.8a4 4 0 0 0-4 4v3L2.6 11.4h10.8L12 8.8v-3a4 4 0 0 0-4-4z" class={isOn ? "bell-on" : "bell-off"} />
      <path d="M6.4 13.2a1.7 1.7 0 0 0 3.2 0" class="bell-off" />
      {!isOn && <path d="M2 14 14 2" class="bell-off" />}
    </svg>
  );
}
