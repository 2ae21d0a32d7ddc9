"""Every scenario and variant against a real server: seen when, named right, mended how, with the guard and without.

    python benchmarks/scenarios.py [--only ris/unnormalised ...] [--factor 0.2] [--skip-bare]
    python benchmarks/scenarios.py --size large --device cuda        on a machine with a GPU: compiled, and not
    python benchmarks/scenarios.py --ablation                        the four configurations, and which one to take

A row is one variant: trained to its end with nobody pressing anything (what fires, and what was bad first), the same
without the guard, and once more, pressing through the API what the alert advises as soon as it does. Truth is the
catalogue's, and where the incident begins is measured besides. Exits with 1 where something is not as the truth has
it, or the remedy did not help: the server must say "worked" (or that it cannot tell, as where a stage began beside it),
and the total be no more than twice what the mended variant, which is trained for it, begins with. `--factor`: of every
scenario's own steps, for a quick look; below 0.4 the stages of denovo are too short to be foretold.

"skipped" are steps whose update was kept out of the weights, by the guard or by the GradScaler. A total is a median
of 20 steps.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from incidents import ablation, table
from incidents.trials import Pressed, Seen, pressed, watched
from incidents.watching import Bench, ServerProcess, shortened

from lossguard.scenarios import SCENARIOS, Options, Scenario, Truth

ENDLESS = 1_000_000  # steps: of a run that ends when its remedy has been judged


def main() -> int:
    options = _parser().parse_args()
    options.seed = int(options.size == "large") if options.seed is None else options.seed
    compiled = {"off": [False], "on": [True], "both": [False, True]}[options.compile or _usual(options.size)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = ServerProcess(Path(folder) / "data").start()
        try:
            wrong = [
                _all(_bench(server, folder, options, is_compiled), options, is_compiled) for is_compiled in compiled
            ]
        finally:
            server.stop()
    return 1 if any(wrong) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="SCENARIO[/VARIANT]", help="default: all")
    parser.add_argument("--factor", type=float, default=1.0, help="of every scenario's own steps")
    parser.add_argument("--skip-bare", action="store_true", help="leave out the runs without the guard")
    parser.add_argument("--size", default="small", choices=("small", "large"))
    parser.add_argument("--device", choices=("cpu", "cuda"))
    parser.add_argument("--compile", choices=("off", "on", "both"), help="default: off, and both at size large")
    parser.add_argument(
        "--seed", type=int, help="default: 0, and 1 at size large, where that of ris shows nothing by 0"
    )
    parser.add_argument("--threads", type=int, help="of torch on the CPU")
    parser.add_argument("--limit-s", type=float, default=1_200.0, help="of one training")
    parser.add_argument("--ablation", action="store_true", help="of the losses of denovo, with its decision")
    return parser


def _usual(size: str) -> str:
    return "both" if size == "large" else "off"


def _bench(server: ServerProcess, folder: str, options: argparse.Namespace, is_compiled: bool) -> Bench:
    chosen = {"--seed": options.seed, "--size": options.size, "--device": options.device, "--threads": options.threads}
    common = [word for name, value in chosen.items() if value is not None for word in (name, str(value))]
    compiling, mark = (("--compile",), "-compiled") if is_compiled else ((), "")
    return Bench(server, Path(folder), (*common, *compiling), options.limit_s, mark)


def _all(bench: Bench, options: argparse.Namespace, is_compiled: bool) -> bool:
    """One table; True where something of it is wrong."""
    print(f"size {options.size}, compile {'on' if is_compiled else 'off'}, seed {options.seed}\n", flush=True)
    if options.ablation:
        return ablation.show(bench, options.factor)
    print(table.head(), flush=True)
    trials: list[table.Trial] = []
    seen = cache(partial(_watched, bench, options))  # a mended variant is what others are held to, and a row
    for scenario, variant, truth in _chosen(options.only):
        trial = _trial(bench, options, scenario, variant, seen)
        if truth.onset_stage is not None and truth.mend:
            trial = replace(trial, mend=seen(scenario.name, truth.mend))
        print(table.line(trial), flush=True)
        trials.append(trial)
    print(f"\n{table.verdict(trials)}\n", flush=True)
    return any(trial.faults for trial in trials)


def _chosen(only: list[str] | None) -> Iterator[tuple[Scenario, str, Truth]]:
    for scenario in SCENARIOS.values():
        for variant, truth in scenario.variants.items():
            if not only or scenario.name in only or f"{scenario.name}/{variant}" in only:
                yield scenario, variant, truth


def _trial(
    bench: Bench, options: argparse.Namespace, scenario: Scenario, variant: str, watch: Callable[[str, str], Seen]
) -> table.Trial:
    own, truth = _own(scenario, variant, options.factor), scenario.truth(variant)
    bare: Seen | None = None
    done: Pressed | None = None
    seen = watch(scenario.name, variant)
    if truth.onset_stage is not None:
        arguments = _arguments(own)
        if not options.skip_bare:
            bare = watched(bench, scenario, truth, f"{scenario.name}-{variant}-bare", arguments | {"guard": "off"})
        if truth.remedy is not None:
            live = arguments | {"steps": ENDLESS}
            if truth.remedy == "go_to_stage" and "staged" in scenario.curricula:
                live["curriculum"] = "staged"
            done = pressed(bench, scenario, truth, f"{scenario.name}-{variant}-mended", live, own)
    return table.Trial(scenario.name, variant, truth, truth.onset_step(own.stage_steps), seen, bare, done)


def _watched(bench: Bench, options: argparse.Namespace, name: str, variant: str) -> Seen:
    scenario = SCENARIOS[name]
    own = _own(scenario, variant, options.factor)
    return watched(bench, scenario, scenario.truth(variant), f"{name}-{variant}-watched", _arguments(own))


def _own(scenario: Scenario, variant: str, factor: float) -> Options:
    """The scenario's own options, its steps and its stages shortened alike."""
    return scenario.options(variant=variant, **shortened(scenario, factor))


def _arguments(own: Options) -> dict[str, object]:
    return {"variant": own.variant, "steps": own.steps, "stage_steps": own.stage_steps, "project": own.project}


if __name__ == "__main__":
    sys.exit(main())
