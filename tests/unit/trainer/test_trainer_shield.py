"""lossguard's own failures stay out of training."""

import logging
import math

import pytest

from lossguard.shield import FAILURES_ALLOWED, Shield


def fail(shield: Shield, error: BaseException) -> None:
    with shield("somewhere"):
        raise error


def test_a_failure_is_swallowed_logged_once_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    reports: list[tuple[str, str]] = []
    shield = Shield(lambda where, message: reports.append((where, message)))
    for _ in range(50):
        fail(shield, RuntimeError("boom"))
    assert shield.failures == 50
    assert shield.broken
    assert reports == [
        ("somewhere", "RuntimeError('boom')"),
        ("somewhere", "RuntimeError('boom'); this part is now off"),
    ]
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "lossguard failed inside somewhere and goes on without: RuntimeError('boom')" in caplog.text


def test_it_breaks_after_the_third_failure_and_not_before() -> None:
    shield = Shield()
    for _ in range(FAILURES_ALLOWED - 1):
        fail(shield, ValueError())
    assert not shield.broken
    fail(shield, ValueError())
    assert shield.broken


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_what_ends_a_program_passes(error: BaseException) -> None:
    shield = Shield()
    with pytest.raises(type(error)):
        fail(shield, error)
    assert shield.failures == 0


def test_nothing_happens_when_nothing_fails() -> None:
    shield = Shield()
    with shield("somewhere"):
        pass
    assert (shield.failures, shield.broken) == (0, False)


def test_a_part_that_is_never_off_tells_its_failure_once(caplog: pytest.LogCaptureFixture) -> None:
    shield = Shield(allowed=math.inf)
    for _ in range(50):
        fail(shield, RuntimeError("boom"))
    assert not shield.broken
    assert len(caplog.records) == 1
