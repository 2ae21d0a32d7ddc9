/** One channel: where it leads, what it is told, and what the other side said of a test. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { type Channel, type Tested, channelText, testedText } from "../../lib/channels";
import { type ChannelBoard, UNDER_WAY } from "./board";

interface RowProps {
  readonly board: ChannelBoard;
  readonly channel: Channel;
}

export function ChannelRow({ board, channel }: RowProps): JSX.Element {
  const tested = Object.hasOwn(board.tests.value, channel.id) ? board.tests.value[channel.id] : undefined;
  return (
    <li class="channel" data-testid="channel" data-name={channel.name}>
      <div class="channel-what">
        <h3>
          {channel.name} {!channel.isOn && <span class="badge">off</span>}
        </h3>
        <p class="quiet">{channelText(channel)}</p>
        {channel.secret !== null && <p class="quiet">signed with the secret that ends in {channel.secret.slice(-4)}</p>}
        {tested !== undefined && <TestResult tested={tested} />}
      </div>
      <ChannelDeeds board={board} channel={channel} isTesting={tested === UNDER_WAY} />
    </li>
  );
}

function TestResult({ tested }: { tested: Tested | string }): JSX.Element {
  if (typeof tested === "string")
    return (
      <p class={tested === UNDER_WAY ? "quiet" : "fault"} role="status" data-testid="channel-tested">
        {tested}
      </p>
    );
  return (
    <div class="channel-tested" role="status" data-testid="channel-tested" data-delivered={tested.delivered}>
      <p class={tested.delivered ? "" : "fault"}>{testedText(tested)}</p>
      {tested.said !== "" && <pre class="code">{tested.said}</pre>}
    </div>
  );
}

function ChannelDeeds({ board, channel, isTesting }: RowProps & { isTesting: boolean }): JSX.Element {
  const isAsked = useSignal(false);
  if (isAsked.value)
    return (
      <div class="channel-deeds" role="group" aria-label={`Delete ${channel.name}?`}>
        <span>Delete {channel.name}? What is owed to it is given up.</span>
        <button type="button" class="button button-small" onClick={() => (isAsked.value = false)}>
          Keep it
        </button>
        <button
          type="button"
          class="button button-small button-danger"
          data-testid="channel-delete-confirm"
          disabled={board.isBusy.value}
          onClick={() => void board.remove(channel)}
        >
          Delete
        </button>
      </div>
    );
  return (
    <div class="channel-deeds">
      <button
        type="button"
        class="button"
        data-testid="channel-test"
        disabled={isTesting}
        title="Sends a real message now"
        aria-label={`test ${channel.name}`}
        onClick={() => void board.test(channel)}
      >
        Test
      </button>
      <button
        type="button"
        class="button"
        data-testid="channel-edit"
        aria-label={`edit ${channel.name}`}
        onClick={() => (board.editing.value = { channel })}
      >
        Edit
      </button>
      <button
        type="button"
        class="button"
        data-testid="channel-delete"
        aria-label={`delete ${channel.name}`}
        onClick={() => (isAsked.value = true)}
      >
        Delete…
      </button>
    </div>
  );
}
