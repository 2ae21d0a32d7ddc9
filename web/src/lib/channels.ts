/**
 * Channels of notifications and the outbox, as the server tells them, and the words for them.
 *
 * Rules of this file: server/lossguard_server/edges/channels.py is the definition; an address never comes back from the
 * server, so a channel is known by its name and its service.
 */
import type { Answer } from "./answer";
import { fields, fieldsOrNull, integerOrNull, numberOr, oneOf, text, textOrNull, texts } from "./decode";
import { duration, words } from "./format";

export type Kind = "webhook" | "apprise";
export type Least = "critical" | "warning";

export interface Quiet {
  readonly from: string;
  readonly to: string;
  readonly zone: string;
  readonly nonfiniteBreaks: boolean;
}

export interface Channel {
  readonly id: string;
  readonly name: string;
  readonly kind: Kind;
  readonly service: string;
  readonly isOn: boolean;
  readonly severity: Least;
  readonly projects: readonly string[];
  readonly resolved: boolean;
  readonly quiet: Quiet | null;
  /** whole in the answer that made the channel, its end later; null of an apprise channel */
  readonly secret: string | null;
}

/** What the other side said of a test message. */
export interface Tested {
  readonly delivered: boolean;
  readonly status: number | null;
  readonly said: string;
  readonly tookS: number;
}

const STATES = ["held", "owed", "delivered", "given_up", "dropped", "folded"] as const;
export type NoticeState = (typeof STATES)[number];

export interface Notice {
  readonly key: string;
  readonly channel: string;
  readonly run: string | null;
  readonly kind: string;
  readonly severity: Least;
  readonly step: number | null;
  readonly message: string;
  readonly count: number;
  readonly state: NoticeState;
  readonly tries: number;
  readonly createdS: number;
  readonly dueS: number;
  readonly said: string | null;
}

/** All that can be asked about notifications. */
export interface ChannelsDesk {
  readonly channels: () => Promise<Answer<readonly Channel[]>>;
  readonly create: (body: ChannelBody) => Promise<Answer<Channel>>;
  readonly change: (id: string, body: ChannelBody) => Promise<Answer<Channel>>;
  readonly remove: (id: string) => Promise<Answer<null>>;
  readonly test: (id: string) => Promise<Answer<Tested>>;
  readonly notices: () => Promise<Answer<readonly Notice[]>>;
}

/** What is sent: an address or a secret that is left out stays as it is. */
export interface ChannelBody {
  readonly name: string;
  readonly kind: Kind;
  readonly url?: string;
  readonly secret?: string;
  readonly enabled: boolean;
  readonly severity: Least;
  readonly projects: readonly string[];
  readonly resolved: boolean;
  readonly quiet: Readonly<Record<string, string | boolean>> | null;
}

export function channelOf(value: unknown): Channel {
  const f = fields(value);
  return {
    id: text(f["id"]),
    name: text(f["name"]),
    kind: oneOf(f["kind"], ["webhook", "apprise"], "webhook"),
    service: text(f["service"]),
    isOn: f["enabled"] !== false,
    severity: oneOf(f["severity"], ["critical", "warning"], "critical"),
    projects: texts(f["projects"]),
    resolved: f["resolved"] === true,
    quiet: quietOf(f["quiet"]),
    secret: textOrNull(f["secret"]),
  };
}

function quietOf(value: unknown): Quiet | null {
  const f = fieldsOrNull(value);
  if (f === null) return null;
  return {
    from: text(f["from"]),
    to: text(f["to"]),
    zone: text(f["zone"]),
    nonfiniteBreaks: f["nonfinite_breaks"] === true,
  };
}

export function testedOf(value: unknown): Tested {
  const f = fields(value);
  return {
    delivered: f["delivered"] === true,
    status: integerOrNull(f["status"]),
    said: text(f["said"]),
    tookS: numberOr(f["took_s"], 0),
  };
}

export function noticeOf(value: unknown): Notice {
  const f = fields(value);
  return {
    key: text(f["key"]),
    channel: text(f["channel_name"]),
    run: textOrNull(f["run"]),
    kind: text(f["kind"]),
    severity: oneOf(f["severity"], ["critical", "warning"], "warning"),
    step: integerOrNull(f["step"]),
    message: text(f["message"]),
    count: numberOr(f["count"], 1),
    state: oneOf(f["state"], STATES, "owed"),
    tries: numberOr(f["tries"], 0),
    createdS: numberOr(f["created_s"], 0),
    dueS: numberOr(f["due_s"], 0),
    said: textOrNull(f["said"]),
  };
}

// -- words ----------------------------------------------------------------------------------------------------------

/** "webhook to 127.0.0.1, critical and warning, all projects, quiet 22:00 to 07:00 Europe/Berlin". */
export function channelText(channel: Channel): string {
  const said = [
    `${channel.kind === "webhook" ? "webhook" : "apprise"} to ${channel.service}`,
    channel.severity === "warning" ? "critical and warning" : "critical only",
    channel.projects.length === 0 ? "all projects" : channel.projects.join(", "),
    ...(channel.resolved ? ["also when it is over"] : []),
    ...(channel.quiet === null ? [] : [quietText(channel.quiet)]),
  ];
  return said.join(" · ");
}

function quietText({ from, to, zone, nonfiniteBreaks }: Quiet): string {
  return `quiet ${from} to ${to} ${zone}${nonfiniteBreaks ? ", but for non-finite values" : ""}`;
}

/** What came of a test, with what the other side said in its own words. */
export function testedText({ delivered, status, tookS }: Tested): string {
  const answered = status === null ? "" : ` with ${status}`;
  const after = ` after ${tookS < 1 ? `${(tookS * 1000).toFixed(0)} ms` : duration(tookS)}`;
  if (delivered) return `Delivered: the other side answered${answered}${after}.`;
  return status === null ? `Not delivered${after}.` : `Not delivered: the other side answered${answered}${after}.`;
}

const STATE_WORDS: Readonly<Record<NoticeState, string>> = {
  held: "held back",
  owed: "to be sent",
  delivered: "delivered",
  given_up: "given up",
  dropped: "not told",
  folded: "in a digest",
};

export function stateText(notice: Notice): string {
  const tries = notice.tries > 1 ? `, ${notice.tries} tries` : "";
  return `${STATE_WORDS[notice.state]}${tries}`;
}

/** "opened", or "digest of 12". */
export function kindText(notice: Notice): string {
  return notice.count > 1 ? `${words(notice.kind)} of ${notice.count}` : words(notice.kind);
}

/** "in 12 s", of what is still to be sent; empty else. */
export function dueText(notice: Notice, wallS: number): string {
  if (notice.state !== "owed" && notice.state !== "held") return "";
  const waitS = notice.dueS - wallS;
  const what = notice.state === "held" ? "due" : "next try";
  return waitS > 1 ? `${what} in ${duration(waitS)}` : "due now";
}
