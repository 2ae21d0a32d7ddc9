/**
 * Paths of parameters and modules as a legend shows them.
 *
 * Rules of this file: within one chart no two labels may be the same; the whole path stands in the tooltip.
 */

/** As many characters as a legend has room for. */
const LENGTH = 28;
/** Of a path that is too long: more of its end, where the parameter's own name is, than of its beginning. */
const HEAD = 11;

/** The paths without the beginning that all of them share, long ones cut in their middle. */
export function labelsOf(paths: readonly string[]): string[] {
  const parts = paths.map((path) => path.split("."));
  const common = sharedParts(parts);
  // A bare number says little: the part before it stays.
  const shared = common > 0 && parts.every((path) => /^\d+$/.test(path[common] ?? "")) ? common - 1 : common;
  const short = paths.map((path) => cut(path.split(".").slice(shared).join(".")));
  return short.map((label, i) => (short.indexOf(label) === short.lastIndexOf(label) ? label : (paths[i] ?? label)));
}

function sharedParts(paths: readonly (readonly string[])[]): number {
  const [first, ...others] = paths;
  if (first === undefined || others.length === 0) return 0;
  // The last part stays: a label must not be empty.
  const least = Math.min(...paths.map((path) => path.length - 1));
  let shared = 0;
  while (shared < least && others.every((path) => path[shared] === first[shared])) shared += 1;
  return shared;
}

function cut(path: string): string {
  return path.length <= LENGTH ? path : `${path.slice(0, HEAD)}…${path.slice(HEAD + 1 - LENGTH)}`;
}
