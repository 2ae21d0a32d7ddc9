/** Who moved the total over the steps that a person asked about: a sentence, a bar, a table; or why nobody can say. */
import type { JSX } from "preact";
import { colourOf } from "../charts/theme";
import { sharesOf } from "../lib/blame";
import { step } from "../lib/format";
import { look } from "../lib/palette";
import { type Moved, type SpanBlame, endsText, remarksOf, rowsOf, signed } from "../lib/span";
import { BlameStrip, PartDot } from "./BlameBar";
import { usePage } from "./context";

export function RangeBlame(): JSX.Element | null {
  const { explained, actions } = usePage();
  const asked = explained.value;
  if (asked === null) return null;
  return (
    <section class="chart span" data-testid="range-blame" data-state={asked.kind} aria-label="Who moved the total">
      <header class="chart-head">
        <h2>
          Who moved the total{" "}
          <span class="quiet number">
            steps {step(asked.from)} to {step(asked.to)}
          </span>
        </h2>
        <button type="button" class="button button-small" onClick={() => actions.explain(null)}>
          close
        </button>
      </header>
      {asked.kind === "asked" && <p class="quiet">Asking the server…</p>}
      {asked.kind === "refused" && (
        <p class="fault" role="alert" data-testid="range-refused">
          {asked.why}
        </p>
      )}
      {asked.kind === "told" && <Told span={asked.span} />}
    </section>
  );
}

function Told({ span }: { span: SpanBlame }): JSX.Element {
  const colour = useColours();
  return (
    <>
      <p class="span-text" data-testid="range-text">
        {span.blame.text}
      </p>
      <BlameStrip shares={sharesOf(span.blame.parts)} colour={colour} />
      <Table span={span} colour={colour} />
      {remarksOf(span).map((remark) => (
        <p key={remark} class="quiet span-remark">
          {remark}
        </p>
      ))}
    </>
  );
}

function useColours(): (component: string) => string {
  const page = usePage();
  const { selected, runs } = page.state.value;
  const names = ((selected === null ? undefined : runs[selected])?.components ?? []).map(({ name }) => name);
  return (component) => colourOf(page.theme.value, look(Math.max(0, names.indexOf(component))));
}

function Table({ span, colour }: { span: SpanBlame; colour: (component: string) => string }): JSX.Element {
  return (
    <div class="span-scroll">
      <table class="span-table number">
        <thead>
          <tr>
            {["component", "loss moved", "weight moved", "raw loss", "weight"].map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rowsOf(span).map((row) => (
            <tr key={row.component} data-testid="range-row" data-component={row.component}>
              <th scope="row">{row.component}</th>
              <Cell moved={row.byLoss} cause="loss" fill={colour(row.component)} />
              <Cell moved={row.bySchedule} cause="schedule" fill={colour(row.component)} />
              <td>{endsText(row.loss)}</td>
              <td>{endsText(row.weight)}</td>
            </tr>
          ))}
        </tbody>
        {span.total !== null && (
          <tfoot>
            <tr>
              <th scope="row">total</th>
              <td colSpan={2}>{signed(span.total.delta)}</td>
              <td colSpan={2}>{endsText(span.total)}</td>
            </tr>
          </tfoot>
        )}
      </table>
    </div>
  );
}

function Cell({ moved, cause, fill }: { moved: Moved | null; cause: string; fill: string }): JSX.Element {
  if (moved === null) return <td class="quiet">–</td>;
  return (
    <td>
      <PartDot cause={cause} fill={fill} /> {signed(moved.delta)} <span class="span-percent">({moved.percent} %)</span>
    </td>
  );
}
