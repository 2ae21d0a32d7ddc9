// @vitest-environment happy-dom
import { afterEach, describe, expect, it, vi } from "vitest";
import { INITIAL, reduce } from "../lib/state";
import { alertOf, runOf } from "../lib/models";
import { parseRoute } from "../lib/route";
import type { Progress } from "../lib/rulesTrial";
import { AlertLinks } from "./alertLink";
import { Api } from "./api";
import { HttpChannelsDesk } from "./channelsDesk";
import { HttpRulesDesk } from "./rulesDesk";

afterEach(() => vi.unstubAllGlobals());

const api = new Api(new URL("http://host/"), () => "secret");

/** An answer that comes in these pieces. */
function streaming(status: number, ...pieces: string[]): ReturnType<typeof vi.fn> {
  const bytes = pieces.map((piece) => new TextEncoder().encode(piece));
  const body = (): ReadableStream<Uint8Array> =>
    new ReadableStream({
      start(controller) {
        for (const piece of bytes) controller.enqueue(piece);
        controller.close();
      },
    });
  const fetch = vi.fn(() => Promise.resolve(new Response(body(), { status })));
  vi.stubGlobal("fetch", fetch);
  return fetch;
}

describe("a preview", () => {
  const seen: Progress[] = [];
  const watch = { onProgress: (progress: Progress) => seen.push(progress), signal: new AbortController().signal };

  it("tells its progress line by line, also where a line comes in pieces, and ends with the result", async () => {
    const fetch = streaming(200, '{"progress":{"st', 'ep":5}}\n{"progress":{"step":9}}\n{"result":{"runs"', ":[]}}\n");
    const answer = await new HttpRulesDesk(api).preview("a/b", { x: { enabled: false } }, watch);
    expect(seen.map((progress) => progress.step)).toEqual([5, 9]);
    expect(answer).toMatchObject({ ok: true, value: { runs: [] } });
    const [address, init] = fetch.mock.calls[0] as unknown as [URL, RequestInit];
    expect(address.pathname).toBe("/api/runs/a%2Fb/rules/preview");
    expect(init).toMatchObject({ method: "POST", body: '{"x":{"enabled":false}}' });
  });

  it("hands on a refusal that is the last line, and one that comes at once", async () => {
    streaming(200, '{"progress":{}}\n{"error":{"error":"e","message":"It changed.","hint":"Again."}}\n');
    const desk = new HttpRulesDesk(api);
    expect(await desk.preview("r", {}, watch)).toEqual({ ok: false, fault: "It changed. Again." });
    streaming(429, '{"error":"e","message":"Too many."}');
    expect(await desk.preview("r", {}, watch)).toEqual({ ok: false, fault: "Too many." });
  });

  it("says that an answer without a result cannot be read", async () => {
    streaming(200, '{"progress":{}}\n');
    expect(await new HttpRulesDesk(api).preview("r", {}, watch)).toEqual({
      ok: false,
      fault: "The server's answer cannot be read.",
    });
  });
});

it("a project's rules are asked for by its whole name", async () => {
  const fetch = streaming(200, '{"rules":[]}');
  await new HttpRulesDesk(api).view({ kind: "project", project: "org/de novo&x" });
  const [address] = fetch.mock.calls[0] as unknown as [URL];
  expect([address.pathname, address.searchParams.get("project")]).toEqual(["/api/project-rules", "org/de novo&x"]);
});

it("a deleted channel answers nothing, and that is well", async () => {
  const fetch = vi.fn(() => Promise.resolve(new Response(null, { status: 204 })));
  vi.stubGlobal("fetch", fetch);
  expect(await new HttpChannelsDesk(api).remove("c 1")).toEqual({ ok: true, value: null });
  const [address, init] = fetch.mock.calls[0] as unknown as [URL, RequestInit];
  expect([address.pathname, init.method]).toEqual(["/api/channels/c%201", "DELETE"]);
});

describe("an address that names an alert", () => {
  const done: string[] = [];
  const links = new AlertLinks({
    select: (run) => done.push(`select ${run}`),
    show: (alert) => done.push(`show ${alert}`),
    say: (problem) => done.push(problem),
  });
  const known = ["r", "other"].reduce(
    (state, id) => reduce(state, { type: "run", run: runOf({ id }), atMs: 0 }),
    INITIAL,
  );
  const shown = reduce(known, { type: "select", run: "r" });
  const loaded = reduce(shown, { type: "detail", run: "r", detail: { alerts: [alertOf({ id: "a", run: "r" })] } });

  function open(hash: string): void {
    done.length = 0;
    links.take(parseRoute(hash));
  }

  it("waits for the run and the alert, and shows the card once", () => {
    open("#run=r&alert=a");
    for (const state of [INITIAL, known, shown, loaded, loaded]) links.follow(state);
    expect(done).toEqual(["select r", "show a"]);
  });

  it("does not call a person back who has gone on to another run", () => {
    open("#run=r&alert=gone");
    links.follow(shown);
    links.follow(reduce(shown, { type: "select", run: "other" }));
    links.follow(loaded);
    expect(done).toEqual([]);
  });

  it("says after a while that the alert is not there", () => {
    vi.useFakeTimers();
    open("#run=r&alert=gone");
    links.follow(shown);
    vi.advanceTimersByTime(60_000);
    expect(done, "it may still be loading").toEqual([]);
    links.follow(loaded);
    vi.advanceTimersByTime(11_000);
    vi.useRealTimers();
    expect(done).toEqual(["The alert that the address names is not among the alerts of this run."]);
  });
});
