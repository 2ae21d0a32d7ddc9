"""What a scenario's own record says of its totals, for comparison with its plain twin."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lossguard.scenarios import Options
from lossguard.scenarios.record import JsonlRecorder


def recorded_totals(train: Callable[..., Any], options: Options, path: Path) -> list[str]:
    """The total of every step as float.hex()."""
    recorder = JsonlRecorder(path)
    train(options, recorder)
    recorder.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(options.steps))
    return [line["total"] for line in lines]
