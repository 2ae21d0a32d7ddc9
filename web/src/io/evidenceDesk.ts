/**
 * Asks the server for the points of a short window, for the picture of an incident.
 */
import type { Answer } from "../lib/answer";
import { bucketsOf } from "../lib/buckets";
import { fieldsOrNull } from "../lib/decode";
import type { EvidenceDesk, Points, Window } from "../lib/evidence";
import { answerOf } from "./answers";
import { type Api, Unreadable } from "./api";
import { pathOf } from "./history";

/** Every step of a window of a few hundred; of a longer one more than the picture has pixels. */
const WIDTH = 600;

export class HttpEvidenceDesk implements EvidenceDesk {
  constructor(private readonly api: Pick<Api, "getPacked">) {}

  readonly points = (
    run: string,
    series: readonly string[],
    { from, to }: Window,
    signal: AbortSignal,
  ): Promise<Answer<Points>> => {
    const query = new URLSearchParams(series.map((name) => ["series", name]));
    for (const [name, value] of Object.entries({ from, to, width: WIDTH })) query.set(name, String(value));
    return answerOf(this.api.getPacked(`${pathOf(run)}/points?${query.toString()}`, signal).then(read));
  };
}

function read(answer: unknown): Points {
  const found = fieldsOrNull(fieldsOrNull(answer)?.["series"]);
  if (found === null) throw new Unreadable();
  return new Map(Object.entries(found).map(([name, value]) => [name, bucketsOf(value)]));
}
