"""Nested state taken apart and put together: nothing is lost, whatever became of the live tree in the meantime."""

import threading
from collections import OrderedDict, defaultdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from helpers import examples
from lossguard.snapshots.layout import Unsupported, layout_of
from lossguard.snapshots.refill import Refill
from lossguard.snapshots.ring import HostBlocks, PlainCopy, bytes_needed
from lossguard.snapshots.state import Inventory
from lossguard.snapshots.tree import freeze, thaw


def frozen(value: object) -> object:
    inventory = Inventory()
    tree = freeze(value, inventory.keeper("it", True, None))
    regions, blocks = list(inventory.regions.values()), HostBlocks()
    blocks.reserve(bytes_needed(regions), pinned=False)
    blocks.place(regions)
    PlainCopy().take(regions)
    return tree


def thawed(tree: object, now: object) -> object:
    refill = Refill()
    value = thaw(tree, now, refill.fill)
    refill.write()
    return value


def same(a: object, b: object) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return layout_of(a) == layout_of(b) and torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


POOL = [torch.arange(6.0), torch.tensor(3), torch.ones(2, 2).bfloat16(), torch.empty(0), torch.arange(6.0)[2:4]]
TENSORS = st.builds(
    lambda source, shared: source if shared else source.clone(), st.sampled_from(POOL), st.booleans()
)  # the pool's own appear in several places: aliases


def trees() -> st.SearchStrategy[object]:
    leaves = st.one_of(TENSORS, st.none(), st.integers(), st.text(max_size=3), st.booleans())
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.lists(inner, max_size=3).map(tuple),
            st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
            st.dictionaries(st.sampled_from("abcd"), inner, max_size=3).map(OrderedDict),
        ),
        max_leaves=8,
    )


@examples(300)
@given(trees(), trees())
def test_a_tree_comes_back_over_any_other_tree(then: object, now: object) -> None:
    wanted = thawed(frozen(then), None)
    assert same(wanted, then)
    pool = [tensor.clone() for tensor in POOL]
    try:
        assert same(thawed(frozen(then), now), wanted)
    finally:  # what was written in place must not reach the next example
        for tensor, value in zip(POOL, pool, strict=True):
            tensor.copy_(value)


def test_what_is_not_a_plain_container_is_copied_deeply() -> None:
    value = defaultdict(list, {"a": [1]})
    tree = frozen({"counts": value, "set": {1, 2}})
    value["a"].append(2)
    assert thawed(tree, None) == {"counts": {"a": [1]}, "set": {1, 2}}


def test_a_lock_cannot_be_kept() -> None:
    with pytest.raises(Unsupported, match="a lock in it cannot be copied"):
        frozen({"lock": threading.Lock()})


def test_thawing_twice_gives_two_trees() -> None:
    tree = frozen({"log": [1, [2]], "x": torch.ones(2), "seen": {1}})
    first, second = thawed(tree, None), thawed(tree, None)
    assert isinstance(first, dict)
    first["seen"].add(2)
    first["log"][1].append(3)
    first["x"].zero_()
    assert same(second, {"log": [1, [2]], "x": torch.ones(2), "seen": {1}})
