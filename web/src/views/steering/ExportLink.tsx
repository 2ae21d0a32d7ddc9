/** Hands the curriculum with what was done to it to the browser as a file. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Run } from "../../lib/models";
import { usePage } from "../context";

export function ExportLink({ run }: { run: Run }): JSX.Element {
  const { desks, actions } = usePage();
  const said = useSignal("");
  const fetchPatch = async (): Promise<void> => {
    said.value = "…";
    const answer = await desks.control.curriculum(run.id);
    said.value = answer.ok ? "saved" : answer.fault;
    if (answer.ok) actions.save(`${run.project}-${run.name}-curriculum.json`, answer.value);
  };
  return (
    <span class="export">
      <button
        type="button"
        class="button button-small"
        data-testid="export-curriculum"
        title="A file that lg.Curriculum.load reads: the next run repeats this schedule, weight for weight"
        onClick={() => void fetchPatch()}
      >
        export curriculum
      </button>
      <span class="quiet" role="status">
        {said.value}
      </span>
    </span>
  );
}
