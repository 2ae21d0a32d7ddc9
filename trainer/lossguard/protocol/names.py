"""The names of series, and what a name says of its series.

Rules of this file: a series' kind is a function of its name and of nothing else, so it is never stored or sent twice.
Names come from the wire: they are checked here once, and are text and only text everywhere after.
"""

import unicodedata

MAX_NAME_BYTES = 512
TOTAL = "loss/total"
GRAD_NORM_TOTAL = "grad_norm/total"
SKIPPED = "skipped"
LR = "lr"  # of the first optimizer's first group
EVALUATED = "eval/"  # before the name of a training series: the same quantity, computed in evaluation mode
LOSS_SCALE = "loss_scale"

_KIND_BY_PREFIX = {
    "loss": "loss",
    "weight": "weight",
    "contribution": "contribution",
    "share": "share",
    "grad_norm": "grad_norm",
    "param_grad_norm": "param_grad_norm",
    "grad_share": "grad_share",
    "grad_cos": "grad_cos",
    "matrix": "matrix",
    "activation": "activation",
    "count": "count",
    "memory": "memory",
    "system": "system",
}
_KIND_BY_NAME = {"step_time_s": "time", "data_wait_s": "time", "lr": "lr", "clip_coef": "clip", "skipped": "count"}
_UNIT_BY_KIND = {"time": "s", "memory": "GiB"}
# a name carries its unit at its end, as everywhere in lossguard
_UNIT_BY_ENDING = {"_s": "s", "_gib": "GiB", "_percent": "%", "_w": "W", "_celsius": "°C"}


def loss(component: str) -> str:
    return f"loss/{component}"


def weight(component: str) -> str:
    return f"weight/{component}"


def contribution(component: str) -> str:
    return f"contribution/{component}"


def share(component: str) -> str:
    return f"share/{component}"


def evaluated(name: str) -> str:
    return f"{EVALUATED}{name}"


def grad_norm(group: str) -> str:
    return f"grad_norm/{group}"


def param_grad_norm(parameter: str) -> str:
    return f"param_grad_norm/{parameter}"


def grad_share(component: str) -> str:
    return f"grad_share/{component}"


def grad_cos(a: str, b: str) -> str:
    return f"grad_cos/{a}|{b}"


def activation(module: str, statistic: str) -> str:
    return f"activation/{module}/{statistic}"


def count(name: str) -> str:
    return f"count/{name}"


def system(name: str) -> str:
    return f"system/{name}"


def memory(device: str, what: str) -> str:
    return f"memory/{device}/{what}"


def matrix(name: str, norm: str) -> str:
    return f"{matrix_prefix(name)}/{norm}"


def matrix_prefix(name: str) -> str:
    return f"matrix/{name}"


def kind_of(name: str) -> str:
    """The kind of a series: `loss`, `weight`, `grad_norm`, ...; `scalar` for whatever else a user logs.

    An `eval/` series is of the kind of its training series.
    """
    name = name.removeprefix(EVALUATED)
    prefix, slash, _ = name.partition("/")
    if slash and prefix in _KIND_BY_PREFIX:
        return _KIND_BY_PREFIX[prefix]
    return _KIND_BY_NAME.get(name, "scalar")


def unit_of(name: str) -> str:
    """The unit of a series, empty when it has none."""
    kind = kind_of(name)
    if kind in _UNIT_BY_KIND:
        return _UNIT_BY_KIND[kind]
    if kind not in ("system", "scalar"):
        return ""
    return next((unit for ending, unit in _UNIT_BY_ENDING.items() if name.endswith(ending)), "")


def fault_in(name: object) -> str | None:
    """Why `name` cannot be a name, or None: it must be 1 to 512 bytes of text without control characters."""
    if not isinstance(name, str):
        return "it is not a text"
    if not name:
        return "it is empty"
    try:
        size_bytes = len(name.encode())
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    if size_bytes > MAX_NAME_BYTES:
        return f"it has {size_bytes} bytes, at most {MAX_NAME_BYTES} are allowed"
    # Cc control, Cs surrogate, Cf format (bidi overrides make one name look like another)
    if any(unicodedata.category(char) in ("Cc", "Cs", "Cf") for char in name):
        return "it contains a control or formatting character"
    return None
