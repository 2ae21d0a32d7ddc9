/**
 * Asks the server what it may do by itself, and sets it.
 */
import type { Answer } from "../lib/answer";
import type { Fields } from "../lib/decode";
import { type PoliciesDesk, type PoliciesView, type PolicyPlace, policiesViewOf } from "../lib/policies";
import { answerOf } from "./answers";
import type { Api } from "./api";

export class HttpPoliciesDesk implements PoliciesDesk {
  constructor(private readonly api: Pick<Api, "get" | "put">) {}

  readonly view = (place: PolicyPlace): Promise<Answer<PoliciesView>> =>
    answerOf(this.api.get(pathOf(place)).then(policiesViewOf));

  readonly set = (place: PolicyPlace, own: Readonly<Record<string, Fields>>): Promise<Answer<PoliciesView>> =>
    answerOf(this.api.put(pathOf(place), own).then(policiesViewOf));
}

function pathOf(place: PolicyPlace): string {
  return place.kind === "run"
    ? `api/runs/${encodeURIComponent(place.run)}/policies`
    : `api/project-policies?project=${encodeURIComponent(place.project)}`; // a name may have a slash
}
