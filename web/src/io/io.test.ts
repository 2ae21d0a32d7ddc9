import { afterEach, describe, expect, it, vi } from "vitest";
import { Api, Refused, Unreachable } from "./api";
import { titleOf } from "./browser";
import { pauseMs } from "./socket";

afterEach(() => vi.unstubAllGlobals());

function answering(status: number, body: string): ReturnType<typeof vi.fn> {
  const fetch = vi.fn(() => Promise.resolve(new Response(body, { status })));
  vi.stubGlobal("fetch", fetch);
  return fetch;
}

const api = new Api(new URL("http://host/prefix/"), () => "secret");

describe("asking the server", () => {
  it("sends the token as a header, never in the address, and keeps a proxy's prefix", async () => {
    const fetch = answering(200, "{}");
    await api.get("api/runs");
    const [address, init] = fetch.mock.calls[0] as unknown as [URL, { headers: Record<string, string> }];
    expect(address.href).toBe("http://host/prefix/api/runs");
    expect(init.headers["Authorization"]).toBe("Bearer secret");
  });

  it("hands on a refusal with its sentence", async () => {
    answering(422, JSON.stringify({ error: "weight_out_of_bounds", message: "Too large.", hint: "Choose less." }));
    const reason = await api.post("x").catch((caught: unknown) => caught);
    expect(reason).toBeInstanceOf(Refused);
    expect(reason).toMatchObject({
      status: 422,
      code: "weight_out_of_bounds",
      message: "Too large.",
      hint: "Choose less.",
    });
  });

  it("says something also of an answer that is no JSON", async () => {
    answering(502, "<html>");
    await expect(api.get("x")).rejects.toMatchObject({ status: 502, message: "The server answered 502." });
  });

  it("asks again what was refused for a token that has changed meanwhile, once", async () => {
    let token: string | null = null;
    const sent: unknown[] = [];
    vi.stubGlobal("fetch", (_: URL, init: { headers: Record<string, string> }) => {
      sent.push(init.headers["Authorization"]);
      const status = sent.length === 1 ? 401 : 200;
      token = "given while it was asked";
      return Promise.resolve(new Response("{}", { status }));
    });
    const impatient = new Api(new URL("http://host/"), () => token);
    await expect(impatient.post("api/ticket")).resolves.toEqual({});
    expect(sent).toEqual([undefined, "Bearer given while it was asked"]);
  });

  it("does not ask again with the token that was refused", async () => {
    const fetch = answering(401, "{}");
    await expect(api.get("x")).rejects.toMatchObject({ status: 401 });
    expect(fetch).toHaveBeenCalledTimes(1);
  });

  it("tells a server that is gone from one that refuses", async () => {
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("failed")));
    await expect(api.get("x")).rejects.toBeInstanceOf(Unreachable);
  });
});

it("the pauses between attempts grow and have an end", () => {
  expect([1, 2, 3, 20].map((attempt) => pauseMs(attempt, 0))).toEqual([300, 600, 1200, 5000]);
  expect(pauseMs(20, 1)).toBeGreaterThan(3000);
});

it("the title counts what is critical", () => {
  expect([titleOf(1, "p/n"), titleOf(0, "p/n"), titleOf(2, null)]).toEqual([
    "(1!) p/n · lossguard",
    "p/n · lossguard",
    "(2!) lossguard",
  ]);
});
