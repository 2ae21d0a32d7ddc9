"""The ablation of the reports' losses: four runs one after the other, then `lossguard compare` of them.

Rules of this file: the configurations are the scenario's, the table and the decision the server's.
"""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from lossguard.scenarios.denovo import DENOVO
from lossguard.scenarios.denovo.ablation import CONFIGURATIONS

from .watching import Bench, clean_environment, shortened

WIDE = "200"  # columns: four runs beside each other
CONFIGURATION = "What differs in their declarations"  # comes last, and is told by the names above


def show(bench: Bench, factor: float) -> bool:
    """Train all, print what `lossguard compare` says; True where it failed."""
    names = []
    for name, chosen in CONFIGURATIONS.items():
        own = DENOVO.options(**chosen)
        training = bench.train(DENOVO.name, name, arguments(chosen, factor))
        try:
            training.finish()
        finally:
            training.end()
        names.append(training.id)
        print(f"{name}: {own.variant}, {own.curriculum}, {dict(own.knobs)}", flush=True)
    print(flush=True)
    command = [sys.executable, "-m", "lossguard_server", "compare", *names, "--data", str(bench.server.folder)]
    said = subprocess.run(
        command, env=clean_environment() | {"COLUMNS": WIDE}, check=False, stdout=subprocess.PIPE, text=True
    )
    print(said.stdout.partition(CONFIGURATION)[0], flush=True)
    return said.returncode != 0


def arguments(given: Mapping[str, Any], factor: float) -> dict[str, object]:
    """The options of one configuration, with no knob but those that it sets."""
    own = DENOVO.options(**given)
    chosen = {"variant": own.variant, "curriculum": own.curriculum, **shortened(own, factor)}
    return {**chosen, **given.get("knobs", {})}
