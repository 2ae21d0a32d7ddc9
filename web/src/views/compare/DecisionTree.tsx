/** The reports' decision tree, answered for each run against the first: the way that was walked, and where it ends. */
import type { JSX } from "preact";
import type { Comparison, Decision, TreeNode } from "../../lib/compare";

/** All nodes in order; those that the way did not come by are shown as not asked. */
const QUESTIONS: readonly (readonly [string, string])[] = [
  ["nan", "NaN losses?"],
  ["accuracy", "Better accuracy?"],
  ["smoother", "Smoother, more stable?"],
  ["slower", "More than 20 % slower?"],
];
const ANSWERS: Readonly<Record<TreeNode["answer"], string>> = { yes: "✓ yes", no: "✕ no", unknown: "? not known" };

export function DecisionTree({ comparison }: { readonly comparison: Comparison }): JSX.Element {
  const names = new Map(comparison.runs.map((run) => [run.id, run.name]));
  return (
    <section class="compare-part" aria-label="Decision">
      <h2>Decision</h2>
      {comparison.decisions.map((decision) => (
        <Tree key={decision.run} decision={decision} names={names} />
      ))}
    </section>
  );
}

function Tree({
  decision,
  names,
}: {
  readonly decision: Decision;
  readonly names: ReadonlyMap<string, string>;
}): JSX.Element {
  const asked = new Map(decision.nodes.map((node) => [node.key, node]));
  return (
    <article class="tree" data-testid="compare-tree" data-run={decision.run} data-advice={decision.advice}>
      <h3>
        {names.get(decision.run)} instead of {names.get(decision.against)}?
      </h3>
      <ol class="tree-nodes">
        {QUESTIONS.map(([key, question]) => (
          <Node key={key} question={question} node={asked.get(key) ?? null} />
        ))}
      </ol>
      <p class="tree-answer" data-testid="compare-advice">
        {decision.text}
      </p>
      {decision.cautions.map((caution) => (
        <p key={caution} class="tree-caution">
          <span class="tone-warning">But:</span> {caution}
        </p>
      ))}
    </article>
  );
}

function Node({ question, node }: { readonly question: string; readonly node: TreeNode | null }): JSX.Element {
  if (node === null) {
    return (
      <li class="tree-node quiet">
        <span>{question}</span> <span class="tree-said">not asked</span>
      </li>
    );
  }
  return (
    <li class="tree-node" data-answer={node.answer}>
      <span>{node.question}</span> <strong class="tree-said">{ANSWERS[node.answer]}</strong>
      <span class="quiet tree-leads"> → {node.leads}</span>
      <span class="quiet compare-detail">{node.why}</span>
    </li>
  );
}
