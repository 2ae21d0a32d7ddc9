/**
 * The form of a channel: what is typed, what is wrong with it, and the body that is sent.
 *
 * Rules of this file: an address and a secret are written, never shown again, so an empty field of a channel that is
 * there means "as it is". Whether an address may be reached only the server knows; here stands what a typo looks like.
 */
import type { Channel, ChannelBody, Kind, Least } from "./channels";

export interface Form {
  readonly name: string;
  readonly kind: Kind;
  readonly url: string;
  readonly secret: string;
  readonly isOn: boolean;
  readonly severity: Least;
  readonly projects: readonly string[];
  /** one that has no run yet */
  readonly otherProject: string;
  readonly resolved: boolean;
  readonly isQuiet: boolean;
  readonly from: string;
  readonly to: string;
  readonly zone: string;
  readonly nonfiniteBreaks: boolean;
}

export type Faults = Readonly<Partial<Record<"name" | "url" | "secret" | "from" | "to" | "zone", string>>>;

const SECRET_LEAST = 8; // the server's bound

/** The form of a channel, or of a new one; `zone`: where this browser is. */
export function formOf(channel: Channel | null, zone: string): Form {
  const quiet = channel?.quiet ?? null;
  return {
    name: channel?.name ?? "",
    kind: channel?.kind ?? "webhook",
    url: "",
    secret: "",
    isOn: channel?.isOn ?? true,
    severity: channel?.severity ?? "critical",
    projects: channel?.projects ?? [],
    otherProject: "",
    resolved: channel?.resolved ?? false,
    isQuiet: quiet !== null,
    from: quiet?.from ?? "22:00",
    to: quiet?.to ?? "07:00",
    zone: quiet?.zone ?? zone,
    nonfiniteBreaks: quiet?.nonfiniteBreaks ?? false,
  };
}

/** What must be mended before it can be sent, by field. */
export function faultsOf(form: Form, isNew: boolean): Faults {
  return {
    ...(form.name.trim() === "" ? { name: "Give it a name." } : {}),
    ...urlFault(form, isNew),
    ...(form.secret !== "" && form.secret.length < SECRET_LEAST
      ? { secret: `At least ${SECRET_LEAST} characters; empty: one is made.` }
      : {}),
    ...(form.isQuiet ? quietFaults(form) : {}),
  };
}

function urlFault({ url, kind }: Form, isNew: boolean): Faults {
  const typed = url.trim();
  if (typed === "") return isNew ? { url: "Give it an address." } : {};
  if (kind === "webhook" && !/^https?:\/\/[^/]/i.test(typed)) return { url: "It begins with https:// or http://." };
  if (kind === "apprise" && !/^[a-z][a-z0-9+.-]*:\/\//i.test(typed))
    return { url: "An apprise address begins with a service, as in ntfys://ntfy.sh/topic." };
  return {};
}

function quietFaults({ from, to, zone }: Form): Faults {
  const isTime = (text: string): boolean => /^([01]\d|2[0-3]):[0-5]\d$/.test(text);
  return {
    ...(isTime(from) ? {} : { from: "A time as in 22:00." }),
    ...(isTime(to) ? (from === to ? { to: "It must end at another time than it begins." } : {}) : { to: "A time as in 07:00." }),
    ...(zone.trim() === "" ? { zone: "A time zone as in Europe/Berlin." } : {}),
  };
}

export function bodyOf(form: Form): ChannelBody {
  const other = form.otherProject.trim();
  return {
    name: form.name.trim(),
    kind: form.kind,
    ...(form.url.trim() === "" ? {} : { url: form.url.trim() }),
    ...(form.secret === "" || form.kind !== "webhook" ? {} : { secret: form.secret }),
    enabled: form.isOn,
    severity: form.severity,
    projects: [...new Set([...form.projects, ...(other === "" ? [] : [other])])],
    resolved: form.resolved,
    quiet: form.isQuiet
      ? { from: form.from, to: form.to, zone: form.zone.trim(), nonfinite_breaks: form.nonfiniteBreaks }
      : null,
  };
}
