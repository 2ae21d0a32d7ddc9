import { describe, expect, it } from "vitest";
import { channelOf, channelText, dueText, kindText, noticeOf, stateText, testedOf, testedText } from "./channels";
import { type Form, bodyOf, faultsOf, formOf } from "./channelsForm";

const CHANNEL = channelOf({
  id: "c",
  name: "ops",
  kind: "webhook",
  service: "https://ops.example",
  severity: "warning",
  projects: ["a", "b"],
  resolved: true,
  quiet: { from: "22:00", to: "07:00", zone: "Europe/Berlin", nonfinite_breaks: true },
  secret: "…1234",
});

it("a channel is said in a line", () => {
  expect(channelText(CHANNEL)).toBe(
    "webhook to https://ops.example · critical and warning · a, b · also when it is over · " +
      "quiet 22:00 to 07:00 Europe/Berlin, but for non-finite values",
  );
});

it("a test says exactly what came of it", () => {
  expect(testedText(testedOf({ delivered: true, status: 204, said: "", took_s: 0.2 }))).toBe(
    "Delivered: the other side answered with 204 after 200 ms.",
  );
  expect(testedText(testedOf({ delivered: false, status: 403, said: "no", took_s: 1 }))).toBe(
    "Not delivered: the other side answered with 403 after 1.0 s.",
  );
  expect(testedText(testedOf({ delivered: false, status: null, took_s: 10 }))).toBe("Not delivered after 10 s.");
});

it("an entry of the outbox says its state, its tries and when it is due", () => {
  const notice = noticeOf({ state: "owed", tries: 3, due_s: 112, kind: "digest", count: 12 });
  expect([stateText(notice), kindText(notice), dueText(notice, 100)]).toEqual([
    "to be sent, 3 tries",
    "digest of 12",
    "next try in 12 s",
  ]);
  expect(dueText(noticeOf({ state: "held", due_s: 700 }), 100)).toBe("due in 10 m 0 s");
  expect(dueText(noticeOf({ state: "delivered", due_s: 112 }), 100)).toBe("");
  expect(dueText(notice, 200)).toBe("due now");
});

describe("the form of a channel", () => {
  const typed = (part: Partial<Form>): Form => ({ ...formOf(null, "UTC"), name: "n", url: "https://h/x", ...part });

  it("sends a new channel as the server takes it", () => {
    expect(faultsOf(typed({}), true)).toEqual({});
    expect(bodyOf(typed({ projects: ["a"], otherProject: " b " }))).toEqual({
      name: "n",
      kind: "webhook",
      url: "https://h/x",
      enabled: true,
      severity: "critical",
      projects: ["a", "b"],
      resolved: false,
      quiet: null,
    });
  });

  it("leaves an address and a secret as they are, when they are not written", () => {
    const form = formOf(CHANNEL, "UTC");
    expect(faultsOf(form, false)).toEqual({});
    const body = bodyOf(form);
    expect(body).not.toHaveProperty("url");
    expect(body).not.toHaveProperty("secret");
    expect(body.quiet).toEqual({ from: "22:00", to: "07:00", zone: "Europe/Berlin", nonfinite_breaks: true });
  });

  it("says what is missing or looks like a slip", () => {
    expect(Object.keys(faultsOf(typed({ name: " ", url: "", secret: "short" }), true))).toEqual(["name", "url", "secret"]);
    expect(faultsOf(typed({ url: "ops.example/hook" }), true)).toHaveProperty("url");
    expect(faultsOf(typed({ kind: "apprise", url: "ntfys://ntfy.sh/x" }), true)).toEqual({});
    expect(faultsOf(typed({ isQuiet: true, from: "25:00", to: "7", zone: "" }), true)).toMatchObject({
      from: "A time as in 22:00.",
      to: "A time as in 07:00.",
      zone: "A time zone as in Europe/Berlin.",
    });
    expect(faultsOf(typed({ isQuiet: true, from: "07:00", to: "07:00" }), true)).toHaveProperty("to");
  });
});
