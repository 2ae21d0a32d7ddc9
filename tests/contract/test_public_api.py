"""The public names, frozen by a literal: a change here is a change for every user."""

import inspect

import lossguard as lg


def test_public_names() -> None:
    assert sorted(lg.__all__) == [
        "ConfigError", "Controls", "Curriculum", "LossguardError", "NonFiniteStep", "NotAScalar", "Ramp",
        "Run", "Snapshots", "Stage",
        "UnknownComponent", "__version__", "at_least", "at_most", "blend", "bounded", "counted", "init", "matrix",
        "preflight", "psd", "ramp", "ranged", "ratio", "share",
    ]  # fmt: skip
    assert all(hasattr(lg, name) for name in lg.__all__)


def test_methods_of_a_run() -> None:
    methods = sorted(name for name in vars(lg.Run) if not name.startswith("_") and name not in ("assemble", "status"))
    assert methods == [
        "boundary", "clip_grad_norm_", "count", "evaluating", "finish", "guard", "instrument", "load_state_dict", "log",
        "matrix",
        "replaying", "rollback", "shared", "stage", "state", "state_dict", "step", "steps", "total", "weights",
    ]  # fmt: skip


def test_every_public_name_is_documented() -> None:
    undocumented = [name for name in lg.__all__ if not name.startswith("__") and not inspect.getdoc(getattr(lg, name))]
    assert undocumented == []


def test_arguments_of_init() -> None:
    assert list(inspect.signature(lg.init).parameters) == [
        "project", "name", "config", "model", "optimizer", "scheduler", "scaler", "curriculum", "losses", "groups",
        "contracts", "controls", "guard", "on_trip", "replay", "snapshots", "checkpoint", "activations", "mode", "url",
        "token", "dir", "start_step", "resume", "resume_wait_s", "handle_sigterm",
    ]  # fmt: skip
