/**
 * Asks the server about rules: what they are, what others would find, and how they do.
 */
import type { Answer } from "../lib/answer";
import { type Configuration, type Over, type Place, type RulesDesk, type RulesView, type Watch, rulesViewOf } from "../lib/rules";
import { type RulesHealth, rulesHealthOf } from "../lib/rulesHealth";
import { type Trial, trialLineOf } from "../lib/rulesTrial";
import { answerOf } from "./answers";
import { type Api, Unreadable } from "./api";

export class HttpRulesDesk implements RulesDesk {
  constructor(private readonly api: Pick<Api, "get" | "put" | "postLines">) {}

  readonly view = (place: Place): Promise<Answer<RulesView>> => answerOf(this.api.get(pathOf(place)).then(rulesViewOf));

  readonly set = (place: Place, configuration: Configuration): Promise<Answer<RulesView>> =>
    answerOf(this.api.put(pathOf(place), configuration).then(rulesViewOf));

  readonly preview = (run: string, configuration: Configuration, watch: Watch): Promise<Answer<Trial>> =>
    answerOf(this.tried(`${pathOf({ kind: "run", run })}/preview`, configuration, watch));

  readonly backtest = (
    runs: readonly string[],
    configuration: Configuration,
    over: Over,
    watch: Watch,
  ): Promise<Answer<Trial>> => answerOf(this.tried("api/backtest", { runs, rules: configuration, over }, watch));

  readonly health = (): Promise<Answer<RulesHealth>> => answerOf(this.api.get("api/rules/health").then(rulesHealthOf));

  private async tried(path: string, body: Readonly<Record<string, unknown>>, watch: Watch): Promise<Trial> {
    const found: Trial[] = [];
    await this.api.postLines(
      path,
      body,
      (line) => {
        const said = trialLineOf(line);
        if (said !== null && "progress" in said) watch.onProgress(said.progress);
        else if (said !== null) found.push(said.trial);
      },
      watch.signal,
    );
    const [trial] = found;
    if (trial === undefined) throw new Unreadable();
    return trial;
  }
}

function pathOf(place: Place): string {
  switch (place.kind) {
    case "run":
      return `api/runs/${encodeURIComponent(place.run)}/rules`;
    case "project":
      return `api/project-rules?project=${encodeURIComponent(place.project)}`; // a name may have a slash
    case "server":
      return "api/rules";
  }
}
