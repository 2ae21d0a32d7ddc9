/**
 * Where the page's token comes from and where it stays.
 *
 * Rules of this file: it arrives in the address' fragment, which no server and no Referer ever sees; it leaves the
 * address bar at once and lives in this tab's sessionStorage only.
 */
const KEY = "lossguard.token";

export class TokenBox {
  constructor(private readonly storage: Storage) {}

  /** Takes the token out of the address; true when there was one: an open tab signs in by it like a fresh one. */
  takeFromAddress(): boolean {
    const parts = new URLSearchParams(location.hash.replace(/^#/, ""));
    const token = parts.get("t");
    if (token === null) return false;
    this.keep(token);
    parts.delete("t");
    const rest = parts.toString().replace(/=(?=&|$)/g, "");
    history.replaceState(null, "", `${location.pathname}${location.search}${rest === "" ? "" : `#${rest}`}`);
    return true;
  }

  token(): string | null {
    return this.storage.getItem(KEY);
  }

  keep(token: string): void {
    this.storage.setItem(KEY, token.trim());
  }
}
