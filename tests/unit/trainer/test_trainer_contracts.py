"""What a person declares of a series."""

import math
from collections.abc import Callable

import pytest

import lossguard as lg
from lossguard.protocol.messages import ContractSpec


@pytest.mark.parametrize(
    ("contract", "spec"),
    [
        (lg.bounded("loss/spectrum", 0, 2), ContractSpec("loss/spectrum", 0, 2, "bound")),
        (lg.bounded("x", 1.5, 1.5), ContractSpec("x", 1.5, 1.5, "bound")),
        (lg.at_least("count/masked", 1), ContractSpec("count/masked", 1, None)),
        (lg.at_most("grad_norm/total", 5.0), ContractSpec("grad_norm/total", None, 5.0)),
        (lg.matrix("R_blend", fro=(50, 100)), ContractSpec("matrix/R_blend/fro", 50, 100, "range")),
        (lg.ranged("loss/ce", 0, 9), ContractSpec("loss/ce", 0, 9, "range")),
        (lg.share("aux", 0.005, 0.01), ContractSpec("share/aux", 0.005, 0.01, "range")),
        (lg.counted("masked", 1229, 32), ContractSpec("count/masked", 32, None, "count", [], 1229)),
        (lg.counted("masked", expected=0.5), ContractSpec("count/masked", None, None, "count", [], 0.5)),
        (lg.counted("masked", at_least=1), ContractSpec("count/masked", 1, None, "count")),
        (lg.ratio("loss/a", "loss/b", 0.5, 2), ContractSpec("loss/a", 0.5, 2, "ratio", ["loss/b"])),
        (lg.psd("R", trace=144), ContractSpec("matrix/R", None, None, "psd", [], 144)),
        (lg.psd("R"), ContractSpec("matrix/R", None, None, "psd")),
        (lg.blend("B", of=["R", "S"]), ContractSpec("matrix/B", None, None, "blend", ["matrix/R", "matrix/S"])),
    ],
)
def test_a_contract_says_what_must_hold(contract: ContractSpec, spec: ContractSpec) -> None:
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
        (lambda: lg.ranged("x", True, 1), "has the bound True; bounds are finite numbers"),
        (lambda: lg.ranged("x", "0", 1), "has the bound '0'; bounds are finite numbers"),  # type: ignore[arg-type]
        (lambda: lg.matrix("", fro=(0, 1)), "names '': it is empty"),
        (lambda: lg.share("aux", 0.5, 1.5), r"within \[0.5, 1.5\]; shares are parts of 1, e.g. 0.005 to 0.01"),
        (lambda: lg.share("aux", -0.1, 0.5), "shares are parts of 1"),
        (lambda: lg.share("", 0, 1), "names '': it is empty"),
        (lambda: lg.counted("masked"), "declared without a number; give expected=, at_least= or both"),
        (lambda: lg.counted("masked", expected=-1), "expected=-1; give a number from 0"),
        (lambda: lg.counted("masked", at_least=math.nan), "at_least=nan; give a number from 0"),
        (lambda: lg.counted("masked", expected=1, at_least=2), "at_least=2 above expected=1; exchange them"),
        (lambda: lg.counted("masked", expected=True), "expected=True; give a number from 0"),
        (lambda: lg.ratio("a", "", 0, 1), "names the series '': it is empty"),
        (lambda: lg.ratio("a", "b", 2, 1), "has its low bound 2 above its high bound 1"),
        (lambda: lg.psd("R", trace=0), "declared with the trace 0; give a finite number above 0"),
        (lambda: lg.psd("R" * 500), "it has 517 bytes, at most 512"),
        (lambda: lg.blend("B", of=["R"]), r"declared of \['R'\]; name two other watched matrices at least"),
        (lambda: lg.blend("B", of=["B", "R"]), "name two other watched matrices at least"),
        (lambda: lg.blend("B", of="RS"), r"declared of \['RS'\]; name two"),
        (lambda: lg.matrix("R", fro=30), r"'R' is declared as fro=30; give \(low, high\)"),  # type: ignore[arg-type]
        (lambda: lg.matrix("R", fro=(1, 2, 3)), r"fro=\(1, 2, 3\); give \(low, high\)"),  # type: ignore[arg-type]
        (lambda: lg.at_least("a", 10**400), "has the bound 10{99}...; bounds are finite numbers"),
        (lambda: lg.at_least("a", 10**5000), "has the bound a int; bounds are finite numbers"),
        (lambda: lg.at_least("a", None), "'a' has no bound; give at least one"),  # type: ignore[arg-type]
        (lambda: lg.psd("R", trace=10**400), "with the trace 10{99}...; give a finite number above 0"),
        (lambda: lg.counted("m", 10**400), "expected=10{99}...; give a number from 0"),
        (lambda: lg.share("a", None, 1), r"within \[None, 1\]; shares are parts of 1"),  # type: ignore[arg-type]
        (lambda: lg.blend("B", 5), r"declared of \[5\]; name two"),  # type: ignore[arg-type]
        (lambda: lg.blend("B", [None, [1]]), r"declared of \[None, \[1\]\]; name two"),  # type: ignore[list-item]
        (lambda: lg.blend("B", ["R", "S", [1]]), r"names \[1\]: it is not a text"),  # type: ignore[list-item]
        (lambda: lg.blend([1], ["R", "S"]), r"names \[1\]: it is not a text"),  # type: ignore[arg-type]
        (lambda: lg.blend("B", of=["R", "\n"]), r"names '\\n': it contains a control"),
    ],
)
def test_what_cannot_be_meant_so_is_said_at_once(make: Callable[[], object], text: str) -> None:
    with pytest.raises(lg.ConfigError, match=text):
        make()
