/** Asks whether the server can store data; the page says so before somebody wonders why the curves stand still. */
import { fields, textOrNull } from "../lib/decode";
import type { Api } from "./api";

/** What keeps the server from storing data, null when nothing does; undefined when nobody answers. */
export async function troubleOf(api: Pick<Api, "get">): Promise<string | null | undefined> {
  try {
    const health = fields(await api.get("healthz"));
    return health["status"] === "ok" ? null : (textOrNull(health["reason"]) ?? "The server has trouble.");
  } catch {
    return undefined; // that the server is gone is said elsewhere
  }
}
