"""What share each component usually holds: known before each row, anew where weights move."""

import numpy as np
import pytest

from lossguard.protocol.messages import ContractSpec
from lossguard_server.rules import shares
from lossguard_server.rules.window import Window
from unit.rules.rule_world import Trace, declared, noisy, summed, windows


def two(n: int = 130, weight: float | np.ndarray = 1.0) -> Trace:
    return summed({"a": 1.0, "b": weight}, {"a": noisy(3.0, n, 0.2), "b": noisy(1.0, n, 0.2, 1)})


def usual(trace: Trace, cut: int = 1000) -> np.ndarray:
    memory: dict[str, object] = {}
    return np.vstack([shares.follow(window, memory).shares for window in windows(trace, cut=cut)])


def test_a_row_is_compared_with_the_blocks_before_its_own() -> None:
    trace = two()
    held = np.stack([trace["loss/a"], trace["loss/b"]], axis=1) / trace["loss/total"][:, None]
    found = usual(trace)
    assert np.isnan(found[:50]).all()
    first, second = held[:50].mean(axis=0), held[50:100].mean(axis=0)
    assert found[50] == pytest.approx(first)
    assert found[99] == pytest.approx(first)
    assert found[100] == pytest.approx(first + 0.4 * (second - first))


def test_it_begins_anew_where_weights_move_and_is_unknown_while_they_do() -> None:
    found = usual(two(weight=np.where(np.arange(130) < 60, 1.0, 2.0)))
    assert np.isfinite(found[50:60]).all()
    assert np.isnan(found[60:110]).all()
    assert np.isfinite(found[110:]).all()
    assert np.isnan(usual(two(weight=1.01 ** np.arange(130)))).all()


@pytest.mark.parametrize("cut", [1, 7, 64])
def test_it_is_the_same_to_the_last_bit_however_it_is_cut(cut: int) -> None:
    trace = two(400, weight=np.where(np.arange(400) < 260, 1.0, 2.0))
    assert np.array_equal(usual(trace, cut), usual(trace), equal_nan=True)


def test_declared_shares_by_component() -> None:
    contracts = ContractSpec("share/b", 0.005, None, "range"), ContractSpec("share/c", 0.0, 1.0, "range")
    window: Window = windows(two(3), declared(*contracts, a=1.0, b=1.0))[0]
    low, high = shares.declared(window)
    assert np.isnan([low[0], high[0]]).all()
    assert (low[1], high[1]) == (0.005, np.inf)
