/**
 * What the trainer's guard says: how it guards, what it tripped on, where a non-finite value was born, rollbacks.
 *
 * Rules of this file: docs/protocol.md section 1 is the definition of the events' data; whatever is missing (an older
 * trainer or server) is absent, never guessed.
 */
import { type Fields, fields, fieldsOrNull, integerOrNull, list, text, textOrNull, texts } from "./decode";

export interface Guard {
  /** one an optimizer: `device`, `trip`, `observe`, `off` */
  readonly modes: readonly string[];
  readonly onTrip: string;
  /** why a mode is not the one that was asked for */
  readonly notes: readonly string[];
}

/** Null of a run that says nothing of a guard: an older trainer, or one without an optimizer. */
export function guardOf(value: unknown): Guard | null {
  const f = fields(value);
  const modes = texts(f["modes"]);
  return modes.length === 0 ? null : { modes, onTrip: text(f["on_trip"]), notes: texts(f["notes"]) };
}

/** Whether it guards, in a word: a mode's name would read as what happened. */
export function guardStateWord({ modes }: Guard): string {
  if (modes.every((mode) => mode === "off")) return "off";
  return modes.every((mode) => mode === "observe" || mode === "off") ? "only reports" : "on";
}

const MODE_SENTENCES: Readonly<Record<string, string>> = {
  device: "device: a non-finite update is skipped on the device, the host does not wait",
  trip: "trip: one look before each update, a non-finite one is skipped",
  observe: "observe: non-finite updates are reported, not stopped",
  off: "off: non-finite updates reach the weights unseen",
};

const ON_TRIP_SENTENCES: Readonly<Record<string, string>> = {
  skip: "after a trip training goes on",
  pause: "after a trip the run pauses",
  raise: "after a trip the training script gets an error",
};

/** What the guard does, in lines, for whoever asks. */
export function guardText({ modes, onTrip, notes }: Guard): string {
  const told = [...new Set(modes)].map((mode) => MODE_SENTENCES[mode] ?? mode);
  const then = onTrip === "" ? [] : [ON_TRIP_SENTENCES[onTrip] ?? `on trip: ${onTrip}`];
  return [...told, ...then, ...notes].join("\n");
}

/** A line of code, or, where `line` is null, whatever words the trainer has: "losses.py:42 in spectrum". */
export interface Place {
  readonly file: string;
  readonly line: number | null;
  readonly function: string;
}

/** Where a non-finite value was born; what is not known is null. */
export interface Origin {
  readonly component: string | null;
  readonly module: string | null;
  readonly op: string | null;
  readonly phase: string | null;
  readonly where: Place | null;
  readonly value: string | null;
  /** null: no replay was possible */
  readonly reproduced: boolean | null;
  /** how many steps further the weights were in the replay */
  readonly stepsLate: number;
  /** from 0 */
  readonly microBatch: number | null;
  readonly text: string;
}

export function originOf(value: unknown): Origin | null {
  const f = fieldsOrNull(value);
  if (f === null) return null;
  return {
    component: textOrNull(f["component"]),
    module: textOrNull(f["module"]),
    op: textOrNull(f["op"]),
    phase: textOrNull(f["phase"]),
    where: placeOf(f["where"]),
    value: textOrNull(f["value"]),
    reproduced: typeof f["reproduced"] === "boolean" ? f["reproduced"] : null,
    stepsLate: integerOrNull(f["steps_late"]) ?? 0,
    microBatch: integerOrNull(f["micro_batch"]),
    text: sentence(nonFiniteWords(text(f["text"]))),
  };
}

/** A word of its own, not a part of a name such as `loss/nan` or `nan.weight`. */
const NON_FINITE_WORD = /(?<![\w/.])(nan|inf)(?![\w/]|\.\w)/gi;

/** Non-finite values as everywhere on the page: NaN, Inf. */
export function nonFiniteWords(said: string): string {
  return said.replace(NON_FINITE_WORD, (word) => (word.toLowerCase() === "nan" ? "NaN" : "Inf"));
}

/** A sentence begins with a capital letter; a name at its beginning (`aten.log`, `loss/aux`) stays as it is. */
function sentence(said: string): string {
  return /^[a-z]+[\s,]/.test(said) ? said.charAt(0).toUpperCase() + said.slice(1) : said;
}

/** A record, a triple, or words. */
function placeOf(value: unknown): Place | null {
  const f = Array.isArray(value) ? { file: list(value)[0], line: list(value)[1], function: list(value)[2] } : value;
  const said = textOrNull(f);
  if (said !== null) return { file: said, line: null, function: "" };
  const place = fields(f);
  const file = textOrNull(place["file"]);
  return file === null ? null : { file, line: integerOrNull(place["line"]), function: text(place["function"]) };
}

export function isReproducedText({ reproduced }: Origin): string {
  if (reproduced === null) return "no replay possible";
  return reproduced ? "reproduced by replay" : "not reproduced by replay";
}

/** The end of a path, which tells files apart; the whole of it belongs into a tooltip. */
export function shortPlace({ file, line, function: name }: Place): string {
  if (line === null) return file;
  const end = file.split(/[\\/]/).slice(-2).join("/");
  return `${end}:${line}${name === "" ? "" : ` in ${name}`}`;
}

export function longPlace({ file, line }: Place): string {
  return line === null ? file : `${file}:${line}`;
}

/** Parts between which a path may be broken into lines: each keeps the dot, slash or colon that it ends with. */
export function breakable(path: string): string[] {
  return path.match(/[^./:]*[./:]+|[^./:]+/g) ?? [];
}

// -- events -----------------------------------------------------------------------------------------------------------

export interface Trip {
  /** whether the update stayed out of the weights */
  readonly isSkipped: boolean;
  readonly series: readonly string[];
  readonly text: string;
}

export function tripOf(data: Fields): Trip {
  return {
    isSkipped: text(data["action"]) === "skipped",
    series: texts(data["series"]),
    text: text(data["text"]),
  };
}

export interface Rollback {
  readonly from: number | null;
  /** the step that comes next; null when the event does not say */
  readonly to: number | null;
  readonly command: string | null;
}

export function rollbackOf(data: Fields): Rollback {
  return {
    from: integerOrNull(data["from"]),
    to: integerOrNull(data["to"]),
    command: textOrNull(data["command"]),
  };
}
