"""How early, how quiet: lossguard and other detectors on real runs, by the protocol of detection/scoring.py.

    python benchmarks/detectors.py [--corpus FILE] [--half tune|test] [--every N] [--only NAME ...]
                                   [--json FILE] [--rates FILE]

`--corpus` is a gzipped file of one JSON object a line (group, repo, path, oracle_label, nan_index, events, grad_events,
steps, loss, grad_norm, components); without it the shared one, which is found as the tests find it (tests/curves.py).
`--every 3` takes every third sample of each run, as other curves of the same trainings: false alarms that come only
then show what was fitted (what lasted nine samples lasts three, so recall means less). `--only` keeps the detectors
whose name contains one of the texts; "lossguard" is PAGE and WATCH. The second part (`--no-causes` leaves it out)
injects the reports' four failures, and eight harmless look-alikes, into the healthy runs of the corpus, and asks for
the cause.

Storm is how often a person is told by false alarm episode: of an incident when it opens and when it grows worse. Alerts
of different rules about one cause are one incident; how many alerts an episode has is printed beside it, and its gate
is the same 1.2.

`pip install trainpulse trainscope` for the rows of these two packages (nothing else needs them); the rest is written
from their projects' formulas (detection/peers.py). Gates: PAGE at most 2 false alarm episodes per 100,000 healthy
samples (upper end of the interval 5), recall of NaN and divergence at least 85 %, of sustained spikes 90 %, a median
delay of 3 samples, the cause right in 90 %.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests")]

from detection.corpus import Run, runs, thinned  # noqa: E402
from detection.material import Material  # noqa: E402
from detection.monitored import Heard, Tier, alerts_of, notices, story_of, told  # noqa: E402
from detection.packages import packages  # noqa: E402
from detection.peers import PEERS  # noqa: E402
from detection.scoring import PER, Score, Tally, scored  # noqa: E402

import curves  # noqa: E402
from detection import attribution, table  # noqa: E402

TIERS: tuple[Tier, ...] = ("PAGE", "WATCH")
WORDS: dict[str, Tier] = {"critical": "PAGE", "all": "WATCH"}
MEASURABLE = (  # rules that ask for nothing but a loss and a gradient norm
    *("nonfinite", "loss_jump", "drift", "plateau"),
    *("grad_norm_high", "grad_burst", "grad_growth", "grad_cluster"),
)


def rivals(corpus: list[Run], wanted: list[str]) -> Iterator[tuple[str, Score | str]]:
    """The other detectors' scores, or why there is none."""
    for name, peer in (PEERS | packages()).items():
        if not _is_wanted(name, wanted):
            continue
        if isinstance(peer, str):
            yield name, peer
            continue
        with np.errstate(all="ignore"):
            yield name, scored(corpus, lambda run, peer=peer: np.flatnonzero(peer(run)))  # type: ignore[misc]


@dataclass
class Ours:
    """lossguard's scores; which rule's alerts told of which runs ({rule and severity: {label: alerts}}); and what each
    rule alone costs healthy runs."""

    scores: dict[Tier, Score] = field(default_factory=lambda: {tier: Score() for tier in TIERS})
    said: dict[str, Counter[str]] = field(default_factory=dict)
    rules: dict[str, dict[Tier, Tally]] = field(
        default_factory=lambda: {name: {tier: Tally() for tier in TIERS} for name in MEASURABLE}
    )
    alerts: dict[Tier, Tally] = field(default_factory=lambda: {tier: Tally() for tier in TIERS})

    def add_healthy(self, run: Run, found: list[Heard]) -> None:
        for tier, tally in self.alerts.items():
            tally.add(run, alerts_of(found, tier), sum(each.is_page or tier == "WATCH" for each in found))
        for name, tallies in self.rules.items():
            own = [each for each in found if each.alert.rule == name]
            for tier, tally in tallies.items():
                tally.add(run, alerts_of(own, tier))

    def storms(self) -> dict[str, float]:
        """By tier: alerts an episode. The table's storm is what a person is told: incidents, which hold the alerts of
        different rules about one cause."""
        return {tier: tally.storm for tier, tally in self.alerts.items()}

    def rates(self) -> dict[str, dict[str, float]]:
        """By rule: its false alarm episodes per 100,000 healthy samples; docs/make_rules.py reads them."""
        samples = max(self.scores["PAGE"].healthy.samples, 1)
        return {
            name: {word: PER * self.rules[name][tier].episodes / samples for word, tier in WORDS.items()}
            for name in sorted(self.rules)
        }


def ours(corpus: list[Run]) -> Ours:
    score = Ours()
    for run in corpus:
        story = story_of(run)
        found = told(story.declaration, story.blocks)
        for tier in TIERS:
            score.scores[tier].add(run, alerts_of(found.alerts, tier), notices(found, tier))
        for each in found.alerts:
            score.said.setdefault(_who(each), Counter())["RL" if run.is_rl else run.label] += 1
        if run.is_healthy and not run.is_rl:
            score.add_healthy(run, found.alerts)
    return score


def _who(each: Heard) -> str:
    return f"{each.alert.rule} {'PAGE' if each.is_page else 'WATCH'}"


def _is_wanted(name: str, wanted: list[str]) -> bool:
    return not wanted or any(text.lower() in name.lower() for text in wanted)


def by_rule(said: dict[str, Counter[str]]) -> list[str]:
    labels = ["clean", "RL", "spike", "diverge", "nan", "gradblow", "regime", "slowdiv", "ambig"]
    lines = [f"| alerts of | {' | '.join(labels)} |", "|---" * (len(labels) + 1) + "|"]
    for who in sorted(said):
        lines.append(f"| {who} | {' | '.join(str(said[who][label]) for label in labels)} |")
    return lines


def detected(corpus: list[Run], wanted: list[str]) -> dict[str, Any]:
    """Print the table as it grows; the scores as plain numbers."""
    found: dict[str, Any] = {}
    print(table.HEAD)
    for name, score in rivals(corpus, wanted):
        print(table.absent(name, score) if isinstance(score, str) else table.row(name, score), flush=True)
        found[name] = score if isinstance(score, str) else table.numbers(score)
    if _is_wanted("lossguard", wanted):
        own = ours(corpus)
        for tier, score in own.scores.items():
            print(table.row(f"**lossguard {tier}**", score))
            found[f"lossguard {tier}"] = table.numbers(score)
        print("", *by_rule(own.said), sep="\n")
        found["lossguard alerts"] = own.said
        found["rules"], found["alerts an episode"] = own.rates(), own.storms()
        print(f"\nAlerts an episode: {', '.join(f'{tier} {storm:.2f}' for tier, storm in own.storms().items())}")
    return found


def causes(corpus: list[Run]) -> dict[str, Any]:
    """Print who was blamed and who was quiet."""
    material = Material(corpus)
    named, quiet = attribution.named(material), attribution.quiet(material)
    print("", *attribution.named_lines(named), "", *attribution.quiet_lines(quiet), sep="\n")
    print(f"\nTop-1 cause: {100 * attribution.accuracy(named):.1f} % of {sum(each.runs for each in named.values())}")
    return {
        "top_1": attribution.accuracy(named),
        "failures": {f"{name} x{severity}": vars(each) for (name, severity), each in named.items()},
        "negatives": {name: vars(each) for name, each in quiet.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--half", choices=["tune", "test"])
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rates", type=Path, help="each rule's false alarms, as docs/make_rules.py reads them")
    parser.add_argument("--no-causes", action="store_true")
    asked = parser.parse_args()
    folder = curves.folder()
    path = asked.corpus or (folder / curves.CORPUS if folder else None)
    if path is None:
        parser.error("the shared curves are not here: give --corpus, or set LOSSGUARD_CURVES to their folder")
    corpus = [thinned(run, asked.every) for run in runs(path) if asked.half in (None, run.half)]
    print(f"{len(corpus)} runs, {sum(map(len, corpus))} samples\n")
    found = detected(corpus, asked.only)
    if not asked.no_causes and _is_wanted("lossguard", asked.only):
        found["causes"] = causes(corpus)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))
    if asked.rates:
        asked.rates.write_text(json.dumps({"rules": found["rules"]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
