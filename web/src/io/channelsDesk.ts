/**
 * Asks the server about channels of notifications and the outbox.
 */
import type { Answer } from "../lib/answer";
import {
  type Channel,
  type ChannelBody,
  type ChannelsDesk,
  type Notice,
  type Tested,
  channelOf,
  noticeOf,
  testedOf,
} from "../lib/channels";
import { items } from "../lib/decode";
import { answerOf } from "./answers";
import type { Api } from "./api";

/** A message by apprise may take 30 s, and waits for its turn before. */
const TEST_TIMEOUT_MS = 60_000;

export class HttpChannelsDesk implements ChannelsDesk {
  constructor(private readonly api: Pick<Api, "get" | "post" | "put" | "remove">) {}

  readonly channels = (): Promise<Answer<readonly Channel[]>> =>
    answerOf(this.api.get("api/channels").then((answer) => items(answer, channelOf)));

  readonly create = (body: ChannelBody): Promise<Answer<Channel>> =>
    answerOf(this.api.post("api/channels", { ...body }).then(channelOf));

  readonly change = (id: string, body: ChannelBody): Promise<Answer<Channel>> =>
    answerOf(this.api.put(pathOf(id), { ...body }).then(channelOf));

  readonly remove = (id: string): Promise<Answer<null>> => answerOf(this.api.remove(pathOf(id)).then(() => null));

  readonly test = (id: string): Promise<Answer<Tested>> =>
    answerOf(this.api.post(`${pathOf(id)}/test`, {}, { timeoutMs: TEST_TIMEOUT_MS }).then(testedOf));

  readonly notices = (): Promise<Answer<readonly Notice[]>> =>
    answerOf(this.api.get("api/notifications").then((answer) => items(answer, noticeOf)));
}

function pathOf(id: string): string {
  return `api/channels/${encodeURIComponent(id)}`;
}
