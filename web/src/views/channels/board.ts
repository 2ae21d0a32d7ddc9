/**
 * What stands behind the dialog of notifications: the channels, the outbox, and what came of what was done.
 *
 * Rules of this file: no DOM. A secret is kept only until the person has closed the line that shows it.
 */
import { signal } from "@preact/signals";
import { faultOf } from "../../lib/answer";
import type { Channel, ChannelBody, ChannelsDesk, Notice, Tested } from "../../lib/channels";

export const UNDER_WAY = "Sending a real message…";

/** The form that is open: of a channel, or of a new one. */
export type Editing = { readonly channel: Channel | null } | null;

export class ChannelBoard {
  readonly channels = signal<readonly Channel[] | null>(null);
  readonly notices = signal<readonly Notice[] | null>(null);
  readonly editing = signal<Editing>(null);
  /** the secret of the channel that was made last, shown this once */
  readonly secret = signal<{ readonly name: string; readonly secret: string } | null>(null);
  /** by channel; while it is under way, or where none could be made, in words */
  readonly tests = signal<Readonly<Record<string, Tested | string>>>({});
  readonly fault = signal<string | null>(null);
  readonly said = signal<string | null>(null);
  readonly isBusy = signal(false);

  constructor(
    private readonly desk: ChannelsDesk,
    private readonly maySeeChannels: boolean,
  ) {}

  async load(): Promise<void> {
    const [channels, notices] = await Promise.all([
      this.maySeeChannels ? this.desk.channels() : null,
      this.desk.notices(),
    ]);
    if (channels?.ok) this.channels.value = channels.value;
    if (notices.ok) this.notices.value = notices.value;
    this.fault.value = (channels === null ? null : faultOf(channels)) ?? faultOf(notices);
  }

  /** Null when it is stored, else the server's refusal. */
  async save(channel: Channel | null, body: ChannelBody): Promise<string | null> {
    this.isBusy.value = true;
    const answer = await (channel === null ? this.desk.create(body) : this.desk.change(channel.id, body));
    this.isBusy.value = false;
    if (!answer.ok) return answer.fault;
    this.editing.value = null;
    this.said.value = channel === null ? `${answer.value.name} was added.` : `${answer.value.name} was changed.`;
    // Of a changed channel the answer has only the secret's end.
    if (channel === null && answer.value.secret !== null)
      this.secret.value = { name: answer.value.name, secret: answer.value.secret };
    await this.load();
    return null;
  }

  async remove(channel: Channel): Promise<void> {
    this.isBusy.value = true;
    const answer = await this.desk.remove(channel.id);
    this.isBusy.value = false;
    this.said.value = answer.ok ? `${channel.name} is gone; what was owed to it is given up.` : null;
    await this.load();
    if (!answer.ok) this.fault.value = answer.fault;
  }

  async test(channel: Channel): Promise<void> {
    this.tests.value = { ...this.tests.value, [channel.id]: UNDER_WAY };
    const answer = await this.desk.test(channel.id);
    this.tests.value = { ...this.tests.value, [channel.id]: answer.ok ? answer.value : answer.fault };
  }
}
