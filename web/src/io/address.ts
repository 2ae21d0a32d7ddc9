/**
 * The page's address: reads which view it names, and names the view on the screen, so that a reload, a bookmark or a
 * colleague finds it again.
 *
 * Rules of this file: another view or another run is a step that "back" takes back; a zoom is not. A token in the
 * address is not for here (io/token.ts), and must be taken out of it before anything is written.
 */
import { type Route, hashOf, parseRoute } from "../lib/route";

export class Address {
  private place = placeOf(this.route());

  route(): Route {
    return parseRoute(location.hash);
  }

  show(route: Route): void {
    const address = `${location.pathname}${location.search}${hashOf(route)}`;
    const place = placeOf(route);
    // The run that is chosen where none was named is no step of the person's.
    const isStep = place !== this.place && this.place !== UNNAMED;
    this.place = place;
    if (address === `${location.pathname}${location.search}${location.hash}`) return;
    if (isStep) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
  }

  /** What a person sends to a colleague: this view, without the token. */
  link(route: Route): string {
    return `${location.origin}${location.pathname}${location.search}${hashOf(route)}`;
  }

  /** "Back", "forward", and an address that is put into this tab. */
  watch(onMoved: () => void): void {
    window.addEventListener("popstate", () => {
      this.place = placeOf(this.route());
      onMoved();
    });
  }
}

const UNNAMED = "run";

function placeOf(route: Route): string {
  if (route.view === "home") return "home";
  return route.view === "compare" ? `compare ${route.runs.join(",")}` : `run${route.run === null ? "" : ` ${route.run}`}`;
}
