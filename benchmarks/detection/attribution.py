"""Does it name the cause? The injected failures and the hard negatives, through the real engine.

Rules of this file:
- The answer is the cause of the run's first incident that pages, as it is when it pages; the truth is what was
  injected. Right: the same component, matrix or count. What the incident says in the end is counted beside it.
- A negative is quiet when no alert pages, save those of rules that its story lets speak.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from lossguard_server.rules.base import Rule

from .failures import FAILURES, SEVERITIES
from .headline import cause_of, first_page, last_said, words
from .material import Material
from .monitored import Heard, Told, heard, told
from .negatives import NEGATIVES
from .story import Story

Make = Callable[[Material, np.random.Generator, int], Story]  # of a severity
MakeQuiet = Callable[[Material, np.random.Generator, int], Story]  # of a number, counted from 0

SEEDS = 25


@dataclass
class Named:
    """One failure at one severity, over all seeds."""

    runs: int = 0
    found: int = 0
    right: int = 0  # at the first page
    right_at_last: int = 0
    leads: list[int] = field(default_factory=list)  # steps from the first page to the loss of the run
    delays: list[int] = field(default_factory=list)  # steps from the onset to the first page
    words: list[int] = field(default_factory=list)  # ... to the first alert of any severity
    wrong: list[str] = field(default_factory=list)

    def add(self, story: Story, found: Told) -> None:
        self.runs += 1
        pages = [each for each in found.alerts if each.is_page]
        incident = first_page(found.incidents)
        if not pages or incident is None:
            self.wrong.append("silent")
            return
        step = min(each.alert.last_step for each in pages)
        self.found += 1
        self.delays.append(step - story.onset)
        self.words.append(min(each.alert.last_step for each in found.alerts) - story.onset)
        if story.end is not None:
            self.leads.append(story.end - step)
        self.right_at_last += cause_of(last_said(found.incidents, incident)) in story.causes
        if cause_of(incident) in story.causes:
            self.right += 1
        else:
            self.wrong.append(words(incident))


@dataclass
class Quiet:
    """One hard negative, over all seeds."""

    runs: int = 0
    quiet: int = 0
    warnings: int = 0
    spoke: list[str] = field(default_factory=list)

    def add(self, story: Story, found: Sequence[Heard]) -> None:
        self.runs += 1
        pages = [each for each in found if each.is_page and each.alert.rule not in story.may_speak]
        self.quiet += not pages
        self.warnings += any(not each.is_page for each in found)
        self.spoke += [f"{each.alert.rule} {each.alert.series}" for each in pages[:1]]


def failures(material: Material, seeds: int = SEEDS) -> Iterator[tuple[int, Story]]:
    """(severity, story), each failure at each severity `seeds` times."""
    for kind, make in enumerate(FAILURES):
        for severity in SEVERITIES:
            for seed in range(seeds):
                yield severity, make(material, np.random.default_rng([kind, severity, seed]), severity)


def negatives(material: Material, seeds: int = SEEDS) -> Iterator[Story]:
    for kind, make in enumerate(NEGATIVES):
        for seed in range(seeds):
            yield make(material, np.random.default_rng([100 + kind, seed]), seed)


def named(material: Material, rules: Sequence[Rule] | None = None, seeds: int = SEEDS) -> dict[tuple[str, int], Named]:
    """By (failure, severity)."""
    table: dict[tuple[str, int], Named] = {}
    for severity, story in failures(material, seeds):
        found = told(story.declaration, story.blocks, rules)
        table.setdefault((story.name, severity), Named()).add(story, found)
    return table


def quiet(material: Material, rules: Sequence[Rule] | None = None, seeds: int = SEEDS) -> dict[str, Quiet]:
    table: dict[str, Quiet] = {}
    for story in negatives(material, seeds):
        table.setdefault(story.name, Quiet()).add(story, heard(story.declaration, story.blocks, rules))
    return table


def accuracy(table: dict[tuple[str, int], Named]) -> float:
    """Share of all failures whose cause was named first."""
    return sum(each.right for each in table.values()) / max(sum(each.runs for each in table.values()), 1)


def named_lines(table: dict[tuple[str, int], Named]) -> list[str]:
    lines = [
        "| failure | severity | paged | top-1 cause | in the end | first alert after, steps | first page after | "
        "page before the end | else named |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (name, severity), each in table.items():
        lead = f"{median(each.leads):g}" if each.leads else "-"
        first, delay = (f"{median(steps):g}" if steps else "-" for steps in (each.words, each.delays))
        lines.append(
            f"| {name} | {severity} | {each.found}/{each.runs} | {each.right}/{each.runs} | "
            f"{each.right_at_last}/{each.runs} | {first} | {delay} | {lead} | {_counted(each.wrong)} |"
        )
    return lines


def quiet_lines(table: dict[str, Quiet]) -> list[str]:
    lines = ["| hard negative | quiet | with a warning | paged by |", "|---|---|---|---|"]
    return lines + [
        f"| {name} | {each.quiet}/{each.runs} | {each.warnings} | {_counted(each.spoke)} |"
        for name, each in table.items()
    ]


def _counted(texts: list[str]) -> str:
    return ", ".join(f"{text} {texts.count(text)}" for text in dict.fromkeys(texts)) or "-"
