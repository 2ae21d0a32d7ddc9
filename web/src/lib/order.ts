/**
 * The order of names in legends and lists: as a person counts, s1, s2, s10.
 *
 * Rules of this file: the same in every browser's language, and no two names are equal (s1 and s01 are not).
 */
const COLLATOR = new Intl.Collator("en", { numeric: true });

export function byName(a: string, b: string): number {
  return COLLATOR.compare(a, b) || Number(a > b) - Number(a < b);
}
