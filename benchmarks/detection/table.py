"""The table of scores as markdown, and as plain numbers for a file.

Rules of this file: one row a detector; a cell that means nothing for a detector is a dash, never a zero.
"""

from typing import Any

from .scoring import KINDS, Score, Tally

HEAD = (
    "| detector | FA/100k [95 %] | raw/100k | storm | RL FA/100k | NaN | diverge | spikes | gradient | restarts | "
    "delay | NaN lead, samples (steps) |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def row(name: str, score: Score) -> str:
    """One line of the table."""
    healthy = score.healthy
    low, high = healthy.interval
    cells = [
        name,
        f"{healthy.rate:.2f} [{low:.1f}, {high:.1f}]",
        f"{healthy.alert_rate:.1f}",
        f"{healthy.storm:.2f}",
        f"{score.rl.rate:.0f}" if score.rl.samples else "-",
        *(f"{score.found[kind]}/{score.sought[kind]}" for kind in KINDS),
        "-" if score.delay is None else f"{score.delay:g}",
        "-" if score.lead is None else f"{score.lead[0]:g} ({score.lead[1]:g})",
    ]
    return f"| {' | '.join(cells)} |"


def absent(name: str, reason: str) -> str:
    return f"| {name} | {reason} |" + " |" * 10


def numbers(score: Score) -> dict[str, Any]:
    """The same as plain numbers, with what was missed."""
    lead = score.lead
    return {
        "healthy": _tally(score.healthy),
        "rl": _tally(score.rl),
        "found": score.found,
        "sought": score.sought,
        "delay_samples": score.delay,
        "nan_lead_samples": lead[0] if lead else None,
        "nan_lead_steps": lead[1] if lead else None,
        "missed": score.missed,
    }


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "runs": tally.runs,
        "samples": tally.samples,
        "episodes": tally.episodes,
        "alerts": tally.alerts,
        "per_100k": tally.rate,
        "interval_95": tally.interval,
    }
