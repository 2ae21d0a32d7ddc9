/** A channel is made or changed: where to, and what it is told. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Channel } from "../../lib/channels";
import { type Faults, type Form, bodyOf, faultsOf, formOf } from "../../lib/channelsForm";
import { Switch } from "../Switch";
import { usePage } from "../context";
import { Check, Field } from "./Field";
import { QuietHours } from "./QuietHours";
import type { ChannelBoard } from "./board";

const LEAST = { critical: "critical only", warning: "critical and warning" } as const;
const KINDS = {
  webhook: "An https address that takes JSON; the message is signed.",
  apprise: "Mail, Slack, Discord, ntfy and more, by an apprise address. The server needs lossguard[notify].",
} as const;

export interface PartProps {
  readonly form: Form;
  readonly faults: Faults;
  readonly put: (part: Partial<Form>) => void;
}

export function ChannelForm({ board, channel }: { board: ChannelBoard; channel: Channel | null }): JSX.Element {
  const form = useSignal(formOf(channel, Intl.DateTimeFormat().resolvedOptions().timeZone));
  const refusal = useSignal<string | null>(null);
  const isPressed = useSignal(false);
  // What is missing is said when somebody tries to save, not while they have only begun.
  const faults = faultsOf(form.value, channel === null);
  const props: PartProps = {
    form: form.value,
    faults: isPressed.value ? faults : {},
    put: (part) => (form.value = { ...form.value, ...part }),
  };
  const save = async (): Promise<void> => {
    isPressed.value = true;
    if (Object.keys(faults).length > 0) return;
    refusal.value = await board.save(channel, bodyOf(form.value));
  };
  return (
    <form
      class="channel-form"
      noValidate
      aria-label={channel === null ? "A new channel" : `Channel ${channel.name}`}
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <Where {...props} channel={channel} />
      <What {...props} />
      <QuietHours {...props} />
      <Check label="enabled" isOn={form.value.isOn} onChange={(isOn) => props.put({ isOn })} />
      {refusal.value !== null && (
        <p class="fault" role="alert" data-testid="channel-refusal">
          {refusal.value}
        </p>
      )}
      <div class="desk-deeds">
        <button type="button" class="button" onClick={() => (board.editing.value = null)}>
          Cancel
        </button>
        <button type="submit" class="button button-main" data-testid="channel-save" disabled={board.isBusy.value}>
          {channel === null ? "Add it" : "Save"}
        </button>
      </div>
    </form>
  );
}

function Where({ form, faults, put, channel }: PartProps & { channel: Channel | null }): JSX.Element {
  const isNew = channel === null;
  return (
    <>
      <Field label="name" value={form.name} fault={faults.name} onInput={(name) => put({ name })} />
      {isNew && (
        <div class="form-row">
          <Switch
            label="kind of channel"
            options={Object.keys(KINDS)}
            value={form.kind}
            onPick={(kind) => put({ kind: kind === "apprise" ? "apprise" : "webhook" })}
          />
          <p class="quiet">{KINDS[form.kind]}</p>
        </div>
      )}
      <Field
        label="address"
        value={form.url}
        fault={faults.url}
        note={isNew ? "" : `Empty: it still leads to ${channel.service}. It is a secret and is not shown.`}
        placeholder={form.kind === "webhook" ? "https://hooks.example/training" : "ntfys://ntfy.sh/my-topic"}
        onInput={(url) => put({ url })}
      />
      {form.kind === "webhook" && (
        <Field
          label="secret"
          value={form.secret}
          fault={faults.secret}
          note={isNew ? "Empty: the server makes one and shows it once." : "Empty: it stays as it is."}
          onInput={(secret) => put({ secret })}
        />
      )}
    </>
  );
}

function What({ form, put }: PartProps): JSX.Element {
  const { runs } = usePage().state.value;
  const known = [...new Set([...Object.values(runs).map((run) => run.project), ...form.projects])].sort();
  const toggle = (project: string, isOn: boolean): void =>
    put({ projects: isOn ? [...form.projects, project] : form.projects.filter((each) => each !== project) });
  return (
    <>
      <div class="form-row">
        <Switch
          label="told of"
          options={Object.values(LEAST)}
          value={LEAST[form.severity]}
          onPick={(picked) => put({ severity: picked === LEAST.warning ? "warning" : "critical" })}
        />
        <Check label="also when it is over" isOn={form.resolved} onChange={(resolved) => put({ resolved })} />
      </div>
      <fieldset class="choice">
        <legend>Projects (none chosen: all)</legend>
        {known.map((project) => (
          <Check
            key={project}
            label={project}
            isOn={form.projects.includes(project)}
            onChange={(isOn) => toggle(project, isOn)}
          />
        ))}
        <Field
          label="another project"
          value={form.otherProject}
          onInput={(otherProject) => put({ otherProject })}
          note="One that has no run yet."
        />
      </fieldset>
    </>
  );
}
