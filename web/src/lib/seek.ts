/**
 * Finds by a few letters: "pa" finds Pause, "den fir" finds denovo/first, "cmp" finds Compare.
 *
 * Rules of this file: pure; every word of the question must be found; what begins with it comes first, then words that
 * begin with it, then what holds it, then what holds its letters in order; of equals the given order stays.
 */

/** How well the text answers; null: not at all. */
export function scoreOf(question: string, text: string): number | null {
  const low = text.toLowerCase();
  let sum = 0;
  for (const word of question.toLowerCase().split(/\s+/)) {
    const score = word === "" ? 0 : wordScore(word, low);
    if (score === null) return null;
    sum += score;
  }
  return sum;
}

/** Those that answer, the best first; `textOf` an item, and what else may be said of it, which counts less. */
export function sought<T>(
  question: string,
  items: readonly T[],
  textOf: (item: T) => string,
  asideOf: (item: T) => string = () => "",
): T[] {
  return items
    .map((item, order) => ({ item, order, score: bestOf(question, textOf(item), asideOf(item)) }))
    .filter(({ score }) => score !== null)
    .sort((a, b) => (b.score ?? 0) - (a.score ?? 0) || a.order - b.order)
    .map(({ item }) => item);
}

/** Less than between two ways of being found in the text itself. */
const ASIDE = 25;

function bestOf(question: string, text: string, aside: string): number | null {
  const own = scoreOf(question, text);
  const all = aside === "" ? null : scoreOf(question, `${text} ${aside}`);
  return all === null ? own : Math.max(own ?? -Infinity, all - ASIDE);
}

function wordScore(word: string, text: string): number | null {
  if (text.startsWith(word)) return 100;
  const at = text.indexOf(word);
  if (at < 0) return lettersScore(word, text);
  return beginsWordAt(text, at) || nextBeginning(word, text) ? 80 : 60;
}

function nextBeginning(word: string, text: string): boolean {
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) if (beginsWordAt(text, at)) return true;
  return false;
}

function beginsWordAt(text: string, at: number): boolean {
  return at === 0 || !/[\p{L}\p{N}]/u.test(text[at - 1] ?? "");
}

/** Letters in order, the first of them at the beginning of a word; the closer together the better. */
function lettersScore(word: string, text: string): number | null {
  let best: number | null = null;
  for (let at = text.indexOf(word[0] ?? ""); at >= 0; at = text.indexOf(word[0] ?? "", at + 1)) {
    const end = beginsWordAt(text, at) ? lastLetter(word, text, at) : -1;
    if (end >= 0) best = Math.max(best ?? 0, Math.max(1, 40 - (end - at + 1 - word.length)));
  }
  return best;
}

function lastLetter(word: string, text: string, from: number): number {
  let at = from;
  for (const letter of word.slice(1)) {
    at = text.indexOf(letter, at + 1);
    if (at < 0) return -1;
  }
  return at;
}
