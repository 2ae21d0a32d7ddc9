"""The batches of a training: one for each step, the same ones however often they are asked for."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from lossguard.scenarios import denovo, ris, tabular
from lossguard.scenarios.batches import Batches
from lossguard.scenarios.catalogue import Scenario
from lossguard.scenarios.denovo import data as spectra
from lossguard.scenarios.denovo import setup as of_denovo
from lossguard.scenarios.ris import array as scenes
from lossguard.scenarios.ris import setup as of_ris
from lossguard.scenarios.tabular import data as windows
from lossguard.scenarios.tabular import setup as of_tabular


@dataclass(frozen=True)
class Told:
    """What a batch was made of, and where it was brought."""

    seed: int
    step: int
    size: int
    device: torch.device | None = None

    def to(self, device: torch.device) -> "Told":
        return Told(self.seed, self.step, self.size, device)


def test_each_step_has_its_batch_on_the_device_and_a_second_look_begins_again() -> None:
    device = torch.device("cpu")
    batches = Batches(Told, seed=5, steps=3, batch_size=2, device=device)
    assert len(batches) == 3
    assert list(batches) == list(batches) == [Told(5, step, 2, device) for step in range(3)]


@pytest.mark.parametrize(
    ("scenario", "setup", "data"),
    [(denovo.DENOVO, of_denovo, spectra), (ris.RIS, of_ris, scenes), (tabular.TABULAR, of_tabular, windows)],
)
def test_a_scenario_trains_on_its_own_batches_in_the_order_of_steps(scenario: Scenario, setup: Any, data: Any) -> None:
    options = scenario.options(seed=7, steps=2, batch_size=3, device="cpu")
    for step, batch in enumerate(setup.build(options).batches):
        batch = batch[0] if scenario is tabular.TABULAR else batch  # the other half is what the model is shown
        expected = data.make_batch(7, step, 3)
        assert all(torch.equal(a, b) for a, b in zip(vars(batch).values(), vars(expected).values(), strict=True))
