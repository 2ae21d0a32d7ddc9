"""What a person declares of a series."""

import math
from collections.abc import Callable

import pytest

import lossguard as lg
from lossguard.protocol.messages import ContractSpec


@pytest.mark.parametrize(
    ("contract", "spec"),
    [
        (lg.bounded("loss/spectrum", 0, 2), ContractSpec("loss/spectrum", 0, 2)),
        (lg.bounded("x", 1.5, 1.5), ContractSpec("x", 1.5, 1.5)),
        (lg.at_least("count/masked", 1), ContractSpec("count/masked", 1, None)),
        (lg.at_most("grad_norm/total", 5.0), ContractSpec("grad_norm/total", None, 5.0)),
        (lg.matrix("R_blend", fro=(50, 100)), ContractSpec("matrix/R_blend/fro", 50, 100)),
    ],
)
def test_a_contract_is_a_range_of_one_series(contract: ContractSpec, spec: ContractSpec) -> None:
    assert contract == spec


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: lg.bounded("x", 2, 1), "has its low bound 2 above its high bound 1"),
        (lambda: lg.bounded("x", math.nan, 1), "has the bound nan; bounds are finite numbers"),
        (lambda: lg.at_most("x", math.inf), "has the bound inf; bounds are finite numbers"),
        (lambda: lg.at_least("", 1), "names the series '': it is empty"),
        (lambda: lg.at_least("a\tb", 1), r"'a\\tb': it contains a control"),
        (lambda: lg.matrix("R" * 510, fro=(0, 1)), "it has 521 bytes, at most 512"),
        (lambda: lg.at_least(None, 1), "names the series None: it is not a text"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_meant_so_is_said_at_once(make: Callable[[], object], text: str) -> None:
    with pytest.raises(lg.ConfigError, match=text):
        make()
