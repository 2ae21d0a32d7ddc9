"""Real runs with what an oracle in hindsight says of them: one JSON object a line, gzipped.

Rules of this file:
- A run is read as it was logged; `events` and `grad_events` are sample numbers, not steps.
- The shared file holds one half of the report's corpus (every md5 of repo+path in it is even), so the halves here are
  taken from the next bit: `tune` may be looked at, `test` is for the last word.
- Where the components add up to the loss (all of them, their mean, or without those of another optimiser), a run would
  have declared them with these weights; otherwise they are scalars that a script also logs.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Half = Literal["tune", "test"]

RL = "ddpg"
SUM_TOLERANCE = 0.01  # of the loss, in the median: the files are rounded, and some add a regulariser


@dataclass(frozen=True)
class Event:
    """The loss left its level at sample `onset`. `samples`: until it was back; None: it never was."""

    onset: int
    samples: int | None


@dataclass(frozen=True)
class Run:
    """One run of the corpus."""

    name: str  # repo and path
    group: str
    label: str  # clean, spike, diverge, nan, gradblow, regime, slowdiv or ambig
    nan_index: int | None
    events: tuple[Event, ...]
    grad_events: tuple[int, ...]
    steps: npt.NDArray[np.int64]
    loss: Floats
    grad_norm: Floats | None
    components: dict[str, Floats]
    half: Half

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def is_rl(self) -> bool:
        return self.group == RL

    @property
    def is_healthy(self) -> bool:
        return self.label == "clean"


def runs(path: Path) -> Iterator[Run]:
    """Every run of a corpus file, in its order."""
    with gzip.open(path, "rt") as file:
        for line in file:
            yield _run(json.loads(line))


def thinned(run: Run, every: int) -> Run:
    """The run as if only every `every`-th sample had been logged: other curves of the same trainings."""
    rows = slice(None, None, every)
    events = tuple(
        Event(-(-each.onset // every), each.samples and max(1, each.samples // every)) for each in run.events
    )
    return replace(
        run,
        steps=run.steps[rows],
        loss=run.loss[rows],
        grad_norm=None if run.grad_norm is None else run.grad_norm[rows],
        components={name: values[rows] for name, values in run.components.items()},
        nan_index=None if run.nan_index is None else -(-run.nan_index // every),
        events=events,
        grad_events=tuple(-(-at // every) for at in run.grad_events),
    )


def _run(data: dict[str, Any]) -> Run:
    digest = int(hashlib.md5((data["repo"] + data["path"]).encode()).hexdigest(), 16)
    return Run(
        name=f"{data['repo']}/{data['path']}",
        group=data["group"],
        label=data["oracle_label"],
        nan_index=data["nan_index"],
        events=tuple(Event(int(at), None if n is None else int(n)) for at, _, n in data["events"]),
        grad_events=tuple(data["grad_events"]),
        steps=np.asarray(data["steps"], dtype=np.int64),
        loss=_floats(data["loss"]),
        grad_norm=_floats(data["grad_norm"]) if data["grad_norm"] else None,
        components={name: _floats(values) for name, values in data["components"].items()},
        half="test" if digest >> 1 & 1 else "tune",
    )


def _floats(values: list[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def weights(loss: Floats, components: dict[str, Floats]) -> dict[str, float]:
    """The weights with which components add up to the loss; empty where none of the usual ways does."""
    names = list(components)
    own = [name for name in names if not name.startswith("D_")]  # a discriminator has an optimiser of its own
    ways = [(names, 1.0), (names, 1.0 / max(len(names), 1)), (own, 1.0), (own, 1.0 / max(len(own), 1))]
    for terms, weight in ways if names else []:
        total = weight * sum((components[name] for name in terms), np.zeros(len(loss)))
        is_finite = np.isfinite(total) & np.isfinite(loss) & (loss != 0)
        off = np.abs(total - loss)[is_finite] / np.abs(loss[is_finite])
        if terms and len(off) and np.median(off) < SUM_TOLERANCE:
            return dict.fromkeys(terms, weight)
    return {}
