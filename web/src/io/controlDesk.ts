/**
 * Carries a person's orders to the server, and asks what would come of them.
 *
 * Rules of this file: every order has a key of its own, so that an answer that got lost changes nothing twice; what this
 * page sent itself is remembered, so that it is no conflict to the person who sent it.
 */
import type { Answer } from "../lib/answer";
import type { ControlDesk, Given, Order } from "../lib/control";
import { type Fields, items } from "../lib/decode";
import { commandOf } from "../lib/models";
import { type Schedule, scheduleOf } from "../lib/schedule";
import { type Action, type State, commandsOf } from "../lib/state";
import { changedSince, expectedVersion, versionOf } from "../lib/version";
import { type WhatIf, whatIfOf } from "../lib/whatIf";
import { answerOf, sentenceOf } from "./answers";
import { type Api, Refused } from "./api";
import { pathOf } from "./history";

const CONFLICT = "version_conflict";

export interface ControlParts {
  readonly api: Pick<Api, "get" | "getText" | "post">;
  readonly state: () => State;
  readonly dispatch: (action: Action) => void;
}

export class HttpControlDesk implements ControlDesk {
  private readonly own = new Set<string>();

  constructor(private readonly parts: ControlParts) {}

  readonly give = async (order: Order): Promise<Given> => {
    try {
      const answer = await this.parts.api.post(`${pathOf(order.run)}/commands`, this.bodyOf(order));
      const command = commandOf(answer);
      this.own.add(command.id);
      this.parts.dispatch({ type: "command", command });
      return { kind: "taken", command: command.id };
    } catch (reason) {
      return reason instanceof Refused && reason.code === CONFLICT
        ? this.conflict(order, reason)
        : { kind: "refused", why: sentenceOf(reason) };
    }
  };

  readonly cancel = async (command: string): Promise<string | null> => {
    try {
      const answer = await this.parts.api.post(`api/commands/${encodeURIComponent(command)}/cancel`);
      this.parts.dispatch({ type: "command", command: commandOf(answer) });
      return null;
    } catch (reason) {
      return sentenceOf(reason);
    }
  };

  readonly whatIf = (run: string, kind: string, args: Fields, signal: AbortSignal): Promise<Answer<WhatIf>> => {
    const body = { kind, args, dry_run: true, idempotency_key: newKey() };
    return answerOf(this.parts.api.post(`${pathOf(run)}/commands`, body, { signal }).then(whatIfOf));
  };

  readonly schedule = (run: string): Promise<Answer<Schedule>> =>
    answerOf(this.parts.api.get(`${pathOf(run)}/schedule`).then(scheduleOf));

  readonly curriculum = (run: string): Promise<Answer<string>> =>
    answerOf(this.parts.api.getText(`${pathOf(run)}/curriculum`));

  private bodyOf({ kind, args, alert, seen }: Order): Fields {
    return {
      kind,
      args,
      idempotency_key: newKey(),
      ...(alert === undefined ? {} : { alert }),
      ...(seen === undefined ? {} : { expect_version: expectedVersion(this.commands(), seen, this.own) }),
    };
  }

  private async conflict({ run, seen = 0 }: Order, { message }: Refused): Promise<Given> {
    // The refusal may be sooner here than the news of what caused it.
    await this.reload(run);
    const commands = this.commands();
    const version = Math.max(seen, versionOf(commands));
    return { kind: "conflict", changed: changedSince(commands, seen, this.own), why: message, version };
  }

  private async reload(run: string): Promise<void> {
    const answer = await answerOf(this.parts.api.get(`${pathOf(run)}/commands`));
    if (!answer.ok) return;
    this.parts.dispatch({ type: "detail", run, detail: { commands: items(answer.value, commandOf) } });
  }

  private commands(): ReturnType<typeof commandsOf> {
    return commandsOf(this.parts.state().detail);
  }
}

/** Not randomUUID: that exists on secure origins only, and a page on a LAN address is none. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
