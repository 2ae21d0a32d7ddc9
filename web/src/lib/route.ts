/**
 * What the page shows, as its address says it: `#home`, `#run=R&from=10&to=200`, `#run=R&alert=A`, `#compare=R1,R2`.
 *
 * Rules of this file: pure. The address holds what a person would send to a colleague, and never the token: io/token.ts
 * takes that out before anything is read here. What cannot be read is left out; no address is an error.
 */

export interface RunRoute {
  readonly view: "run";
  /** null: the newest run there is */
  readonly run: string | null;
  /** the steps that are zoomed to; null: as they come */
  readonly from: number | null;
  readonly to: number | null;
  readonly alert: string | null;
}

export interface CompareRoute {
  readonly view: "compare";
  readonly runs: readonly string[];
}

export type Route = { readonly view: "home" } | RunRoute | CompareRoute;

/** More curves of one series than that cannot be told apart. */
export const COMPARED_MAX = 8;

export const NEWEST: RunRoute = { view: "run", run: null, from: null, to: null, alert: null };

export function parseRoute(hash: string): Route {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  if (parts.has("home")) return { view: "home" };
  const compared = parts.get("compare");
  if (compared !== null) return { view: "compare", runs: someOf(compared.split(",")) };
  const [from, to] = [stepOf(parts.get("from")), stepOf(parts.get("to"))];
  const isWindow = from !== null && to !== null && from < to;
  return {
    view: "run",
    run: parts.get("run") || null,
    from: isWindow ? from : null,
    to: isWindow ? to : null,
    alert: parts.get("alert") || null,
  };
}

/** The fragment, with its `#`; empty for the newest run. */
export function hashOf(route: Route): string {
  if (route.view === "home") return "#home";
  if (route.view === "compare") return `#compare=${route.runs.map(encodeURIComponent).join(",")}`;
  const parts = new URLSearchParams();
  if (route.run !== null) parts.set("run", route.run);
  if (route.from !== null && route.to !== null) {
    parts.set("from", String(route.from));
    parts.set("to", String(route.to));
  }
  if (route.alert !== null) parts.set("alert", route.alert);
  const text = parts.toString();
  return text === "" ? "" : `#${text}`;
}

function someOf(runs: readonly string[]): string[] {
  return [...new Set(runs.filter((run) => run !== ""))].slice(0, COMPARED_MAX);
}

function stepOf(text: string | null): number | null {
  const step = text === null || text === "" ? Number.NaN : Number(text);
  return Number.isFinite(step) && step >= 0 ? step : null;
}
