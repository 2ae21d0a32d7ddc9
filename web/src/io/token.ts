/**
 * Where the page's token comes from and where it stays.
 *
 * Rules of this file: it arrives in the address' fragment, which no server and no Referer ever sees; it leaves the
 * address bar at once and lives in this tab's sessionStorage only.
 */
const KEY = "lossguard.token";

export interface Fragment {
  readonly token: string | null;
  readonly run: string | null;
  readonly alert: string | null;
}

/** Reads `#t=TOKEN&run=RUN&alert=ALERT`; pure. */
export function readFragment(hash: string): Fragment {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  return { token: parts.get("t"), run: parts.get("run"), alert: parts.get("alert") };
}

export class TokenBox {
  constructor(private readonly storage: Storage) {}

  /** Takes the token out of the address, if there is one, and answers which run the address names. */
  takeFromAddress(): string | null {
    const { token, run } = readFragment(location.hash);
    if (token !== null) {
      this.keep(token);
      this.showRun(run);
    }
    return run;
  }

  /** An address with a token that is put into an open tab signs in like a fresh one; `onToken` gets the run it names. */
  watchAddress(onToken: (run: string | null) => void): void {
    window.addEventListener("hashchange", () => {
      if (readFragment(location.hash).token !== null) onToken(this.takeFromAddress());
    });
  }

  token(): string | null {
    return this.storage.getItem(KEY);
  }

  keep(token: string): void {
    this.storage.setItem(KEY, token.trim());
  }

  /** The address names the run on the screen, so that a reload or a bookmark finds it again. */
  showRun(run: string | null): void {
    const hash = run === null ? "" : `#${new URLSearchParams({ run }).toString()}`;
    history.replaceState(null, "", `${location.pathname}${location.search}${hash}`);
  }
}
