"""`python -m lossguard.scenarios denovo --variant log1p_x100`: trains a scenario, watched by lossguard.

Rules of this file: arguments in, a training, one line out. Exit codes: 0 trained or stopped from the page, 2 usage,
130 interrupted by Ctrl-C; the run is then on record as stopped.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import ConfigError
from . import SCENARIOS, NullRecorder, Options, Scenario, find
from .catalogue import SIZES
from .record import JsonlRecorder, Recorder

INTERRUPTED = 130  # 128 + SIGINT, as shells say it
KNOBS = {
    knob.name: f"{s.name}{'' if knob.of is None else f', {knob.of[0]} {knob.of[1]}'}: {knob.about}; "
    f"default: {knob.default}"
    for s in SCENARIOS.values()
    for knob in s.knobs
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what the arguments ask for."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        scenario = find(given.scenario)
        options = _options(scenario, given)
        recorder: Recorder = JsonlRecorder(given.record) if given.record else NullRecorder()
    except (ConfigError, OSError) as error:
        parser.error(str(error))
    training = importlib.import_module(scenario.module)
    try:
        summary = training.train(options, recorder)
    except ConfigError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        recorder.close()
    print(f"{scenario.name} {options.variant}: {summary}", flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lossguard.scenarios", description=__doc__.splitlines()[0])
    parser.add_argument("scenario", help=", ".join(f"{s.name}: {', '.join(s.variants)}" for s in SCENARIOS.values()))
    parser.add_argument("--variant", help="default: the scenario's first")
    parser.add_argument("--curriculum", help="default: the scenario's first")
    parser.add_argument("--steps", type=int, help="optimizer steps")
    parser.add_argument("--stage-steps", type=int, help="steps of each stage of the curriculum")
    parser.add_argument("--seed", type=int, help="of model and data")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--lr", type=float, help="learning rate after warm-up")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: CUDA where there is one")
    parser.add_argument("--threads", type=int, help="of torch on the CPU")
    parser.add_argument("--eval-every", type=int, help="steps between validations")
    parser.add_argument("--guard", choices=("auto", "observe", "off"), help="as of lossguard.init; default: auto")
    parser.add_argument("--size", choices=SIZES, help="large: for a GPU, 100 million parameters and more, in bfloat16")
    parser.add_argument("--compile", action="store_true", help="by torch.compile")
    for name, about in KNOBS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", help=about)
    parser.add_argument("--project")
    parser.add_argument("--name", help="of the run")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write every loss, weight and total as JSONL")
    return parser


def _options(scenario: Scenario, given: argparse.Namespace) -> Options:
    chosen = {k: v for k, v in vars(given).items() if v is not None and k not in ("scenario", "record")}
    knobs = {name: chosen.pop(name) for name in KNOBS if name in chosen}
    return scenario.options(**chosen, knobs=knobs)


if __name__ == "__main__":
    sys.exit(main())
