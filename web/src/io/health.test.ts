import { describe, expect, it } from "vitest";
import { troubleOf } from "./health";

const answering = (answer: unknown): { get: () => Promise<unknown> } => ({ get: () => Promise.resolve(answer) });

describe("the server's health", () => {
  it("is no trouble", async () => {
    expect(await troubleOf(answering({ status: "ok" }))).toBeNull();
  });

  it("is told in the server's words", async () => {
    expect(await troubleOf(answering({ status: "degraded", reason: "The disk is full." }))).toBe("The disk is full.");
    expect(await troubleOf(answering({ status: "degraded" }))).toBe("The server has trouble.");
  });

  it("is unknown while nobody answers", async () => {
    expect(await troubleOf({ get: () => Promise.reject(new Error("gone")) })).toBeUndefined();
  });
});
