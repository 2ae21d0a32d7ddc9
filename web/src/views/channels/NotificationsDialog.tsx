/** Who is told of alerts outside of the page, and what was sent. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { Dialog } from "../Dialog";
import { usePage } from "../context";
import { ChannelForm } from "./ChannelForm";
import { ChannelRow } from "./ChannelRow";
import { Outbox } from "./Outbox";
import { ChannelBoard } from "./board";

const TABS = ["Channels", "Outbox"] as const;
const OUTBOX_MS = 5_000;

export function NotificationsDialog({ onClose }: { onClose: () => void }): JSX.Element {
  const { desks, state } = usePage();
  const isAdmin = state.value.scopes.includes("admin");
  const board = useMemo(() => new ChannelBoard(desks.channels, isAdmin), [desks, isAdmin]);
  const tab = useSignal<(typeof TABS)[number]>(isAdmin ? "Channels" : "Outbox");
  useEffect(() => {
    const load = (): void => void board.load();
    load();
    const timer = window.setInterval(() => document.visibilityState === "visible" && load(), OUTBOX_MS);
    return () => window.clearInterval(timer);
  }, [board]);
  return (
    <Dialog title="Notifications" isWide onClose={onClose}>
      <div class="desk" data-testid="notifications">
        <p class="quiet">
          When an incident opens or grows worse, the server tells these channels, also when no page is open. The bell
          at the top is this browser's own.
        </p>
        {!isAdmin && (
          <p class="view-only" data-testid="channels-view-only">
            View only: this token is not the admin's. Channels hold addresses that are secrets, so only the outbox is
            shown.
          </p>
        )}
        {isAdmin && (
          <div class="desk-bar">
            <div class="switch" role="group" aria-label="Parts of notifications">
              {TABS.map((each) => (
                <button
                  key={each}
                  type="button"
                  class="switch-option"
                  aria-pressed={each === tab.value}
                  data-testid={`notifications-tab-${each.toLowerCase()}`}
                  onClick={() => (tab.value = each)}
                >
                  {each}
                </button>
              ))}
            </div>
          </div>
        )}
        <Said board={board} />
        <div class="desk-pane desk-scroll">
          {tab.value === "Channels" ? <Channels board={board} /> : <Outbox notices={board.notices.value} />}
        </div>
      </div>
    </Dialog>
  );
}

/** What came of the last deed. */
function Said({ board }: { board: ChannelBoard }): JSX.Element {
  const made = board.secret.value;
  return (
    <>
      {board.fault.value !== null && (
        <p class="fault" role="alert" data-testid="channels-fault">
          {board.fault.value}
        </p>
      )}
      <p role="status" data-testid="channels-said">
        {board.said.value}
      </p>
      {made !== null && (
        <div class="secret" role="group" aria-label={`The secret of ${made.name}`}>
          <p>
            The secret that signs what is sent to {made.name}. It is shown this once; the receiver checks{" "}
            <code>X-Lossguard-Signature</code> with it.
          </p>
          <code class="secret-text" data-testid="channel-secret">
            {made.secret}
          </code>
          <button
            type="button"
            class="button button-small"
            data-testid="channel-secret-close"
            onClick={() => (board.secret.value = null)}
          >
            I have kept it
          </button>
        </div>
      )}
    </>
  );
}

function Channels({ board }: { board: ChannelBoard }): JSX.Element {
  const channels = board.channels.value;
  const editing = board.editing.value;
  if (channels === null) return <p class="quiet">{board.fault.value === null ? "Loading…" : ""}</p>;
  if (editing !== null) return <ChannelForm key={editing.channel?.id ?? ""} board={board} channel={editing.channel} />;
  return (
    <>
      {channels.length === 0 && <p class="quiet">No channels. Nobody is told outside of this page.</p>}
      <ul class="channels" aria-label="Channels">
        {channels.map((channel) => (
          <ChannelRow key={channel.id} board={board} channel={channel} />
        ))}
      </ul>
      <button
        type="button"
        class="button button-main"
        data-testid="channel-add"
        onClick={() => (board.editing.value = { channel: null })}
      >
        Add a channel
      </button>
    </>
  );
}
