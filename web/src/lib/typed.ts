/**
 * Numbers as people type them.
 *
 * Rules of this file: pure. A point is the decimal sign; so is a comma, where nobody could mean thousands by it. "1,000"
 * may be a thousand or one: a factor of a thousand in a weight is what this page exists to prevent, so it is asked.
 * Spaces between digits, as the page itself writes them, are nothing.
 */

export type Typed = { readonly value: number; readonly fault: null } | { readonly value: null; readonly fault: string };

/** What a typed number means; a fault says what is wrong with it, or asks which of two it is. */
export function typedNumber(typed: string): Typed {
  // The thin space of the page's own steps is one too.
  const said = typed.replace(/\s/g, "");
  const grouped = groupedOf(said);
  if (grouped === "either") {
    const [whole = "", rest = ""] = said.split(",");
    return { value: null, fault: `${whole}${rest} or ${whole}.${rest}? A comma before three digits can be both: leave it out` };
  }
  const plain = grouped ?? said.replace(",", ".");
  const value = plain === "" ? NaN : Number(plain);
  return Number.isFinite(value) ? { value, fault: null } : { value: null, fault: "not a number" };
}

/** Whether a fault asks which of two numbers is meant. */
export function isAsking(fault: string): boolean {
  return fault.includes("?");
}

/** Without the commas of its thousands; "either": it cannot be told; null: it has none. */
function groupedOf(said: string): string | null {
  // A group of thousands never begins with 0, and after the first comma all have three digits.
  if (!/^[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?(e[+-]?\d+)?$/i.test(said)) return null;
  const isSure = said.includes(".") || said.indexOf(",") !== said.lastIndexOf(",");
  return isSure ? said.replaceAll(",", "") : "either";
}
