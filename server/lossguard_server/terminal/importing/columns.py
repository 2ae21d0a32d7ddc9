"""Which columns of a table, or keys of an object, hold the step, the time, a series' name and its value.

Rules of this file: pure. The first of a list that is there is taken; docs/export.md says the lists.
"""

from collections.abc import Collection, Iterable

STEPS = (
    "step",
    "_step",
    "Step",
    "global_step",
    "trainer/global_step",
    "iteration",
    "iter",
    "Iteration",
    "epoch",
    "Epoch",
)
NAMES = ("name", "series", "metric", "tag", "key")
VALUE = "value"
TIMES = ("_timestamp", "timestamp", "wall_time", "Wall time", "time")
RUNS = ("run", "run_id", "run_uuid")
NAN_FLAG = "is_nan"  # MLflow's database stores a NaN as 0 and this
# what W&B adds to each line: beside them `_step` is the step, and `step` something that the user logged
_WANDB = frozenset(("_timestamp", "_runtime"))


def step_key(keys: Collection[str], given: str | None) -> str | None:
    """The key of the step; None when there is none."""
    if given is not None:
        return given if given in keys else None
    if "_step" in keys and not _WANDB.isdisjoint(keys):
        return "_step"
    return first_of(STEPS, keys)


def long_name_key(keys: Collection[str], step: str) -> str | None:
    """The key of the series' name where a row is one point, (step, name, value); None where it is a row of many."""
    name = first_of(NAMES, keys)
    if name is None or VALUE not in keys:
        return None
    others = set(keys) - {step, name, VALUE, NAN_FLAG, *TIMES, *RUNS, ""}
    return None if others else name


def first_of(wanted: Iterable[str], keys: Collection[str]) -> str | None:
    """The first of `wanted` that is there."""
    return next((key for key in wanted if key in keys), None)


def is_set(flag: object) -> bool:
    """A truth as databases and tables spell it."""
    return str(flag).strip().lower() in ("1", "true", "t", "1.0")
