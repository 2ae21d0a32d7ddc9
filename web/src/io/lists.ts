/**
 * The server's lists, and what was told while they were under way.
 *
 * Rules of this file: what the live connection tells is newer than an answer that was asked for before it; such an
 * answer takes nothing of it back.
 */
import { items } from "../lib/decode";
import { type Run, runOf } from "../lib/models";
import type { Api } from "./api";

export class Lists {
  /** of each list that is under way: what was told since it was asked for */
  private readonly overtaken = new Set<Set<string>>();

  constructor(private readonly api: Api) {}

  /** The thing of this id was told, or told to be gone. */
  told(id: string): void {
    for (const told of this.overtaken) told.add(id);
  }

  async all<T>(path: string, read: (item: unknown) => T): Promise<T[]> {
    return items(await this.api.get(path), read);
  }

  /** Without what was told meanwhile. */
  older<T extends { readonly id: string }>(path: string, read: (item: unknown) => T): Promise<T[]> {
    return this.during(async (told) => (await this.all(path, read)).filter(({ id }) => !told.has(id)));
  }

  /** All runs; those that were told meanwhile as they are known now, if they still are. */
  runs(known: () => Readonly<Record<string, Run>>): Promise<Run[]> {
    return this.during(async (told) => {
      const listed = await this.all("api/runs", runOf);
      return [...listed.filter(({ id }) => !told.has(id)), ...[...told].flatMap((id) => known()[id] ?? [])];
    });
  }

  private async during<T>(work: (told: ReadonlySet<string>) => Promise<T>): Promise<T> {
    const told = new Set<string>();
    this.overtaken.add(told);
    try {
      return await work(told);
    } finally {
      this.overtaken.delete(told);
    }
  }
}
