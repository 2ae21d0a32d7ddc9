import { expect, it, vi } from "vitest";
import type { Answer } from "../../lib/answer";
import { type ChannelsDesk, channelOf, testedOf } from "../../lib/channels";
import { bodyOf, formOf } from "../../lib/channelsForm";
import { ChannelBoard, UNDER_WAY } from "./board";

function ok<T>(value: T): Answer<T> {
  return { ok: true, value };
}

const OPS = channelOf({ id: "c", name: "ops", secret: "whsec_whole" });
const BODY = bodyOf(formOf(null, "UTC"));
const channels = vi.fn<ChannelsDesk["channels"]>(() => Promise.resolve(ok([OPS])));
const desk: ChannelsDesk = {
  channels,
  create: () => Promise.resolve(ok(OPS)),
  change: () => Promise.resolve(ok(OPS)),
  remove: () => Promise.resolve({ ok: false, fault: "The disk is full." }),
  test: () => Promise.resolve(ok(testedOf({ delivered: true, status: 200 }))),
  notices: () => Promise.resolve(ok([])),
};

it("a secret is shown when its channel was made, and not when one was changed", async () => {
  const board = new ChannelBoard(desk, true);
  expect(await board.save(OPS, BODY)).toBeNull();
  expect([board.secret.value, board.said.value]).toEqual([null, "ops was changed."]);
  await board.save(null, BODY);
  expect(board.secret.value).toEqual({ name: "ops", secret: "whsec_whole" });
});

it("who may not see addresses does not ask for them", async () => {
  channels.mockClear();
  const board = new ChannelBoard(desk, false);
  await board.load();
  expect(channels).not.toHaveBeenCalled();
  expect([board.notices.value, board.fault.value]).toEqual([[], null]);
});

it("a channel that is not gone is not said to be, and a test says that it is under way", async () => {
  const board = new ChannelBoard(desk, true);
  await board.remove(OPS);
  expect([board.said.value, board.fault.value]).toEqual([null, "The disk is full."]);
  const testing = board.test(OPS);
  expect(board.tests.value).toEqual({ c: UNDER_WAY });
  await testing;
  expect(board.tests.value).toMatchObject({ c: { delivered: true } });
});
