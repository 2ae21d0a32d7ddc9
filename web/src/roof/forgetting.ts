/**
 * Lets go of what a component rendered before.
 *
 * When a component renders itself anew, Preact 11.2 puts a copy of its node into the tree and leaves the children of
 * the one before on it. That one is held by the element that it was written in, for as long as this is not rendered
 * again, and what hangs on it leads to every tree in between: measured, 5 to 9 MB a minute of a run with incidents.
 *
 * Rules of this file: the names are those under which Preact's published build keeps its fields, which its own signals
 * rely on too. A later Preact that renames them is seen by the test, and loses nothing but this.
 */

/** Of a node of Preact's: the component, and what was rendered. */
interface Node {
  __c?: { __v?: Node } | null;
  __k?: unknown;
}

/** Preact's `options`: what it calls before a node is compared with the one before it, and after. */
interface Hooks {
  __b?: (node: Node) => void;
  diffed?: (node: Node) => void;
}

/** `options`: Preact's. */
export function forgetOldTrees(options: object): void {
  const hooks: Hooks = options;
  const before = new WeakMap<Node, Node>();
  const { __b: beforeIt, diffed: afterIt } = hooks;
  hooks.__b = (node) => {
    // only a node that was copied to be rendered by itself has a component already
    const old = node.__c?.__v;
    if (old !== undefined && old !== node) before.set(node, old);
    beforeIt?.(node);
  };
  hooks.diffed = (node) => {
    afterIt?.(node);
    const old = before.get(node);
    if (old === undefined) return;
    before.delete(node);
    old.__k = null;
  };
}
