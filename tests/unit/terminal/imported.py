"""What tests of the importers share: points as they can be compared."""

from lossguard_server.terminal.importing.points import Found


def points(found: Found) -> dict[str, list[tuple[int, str]]]:
    """Values as words, so that NaN equals itself and -0.0 does not equal 0.0."""
    return {
        name: list(zip(steps.tolist(), map(repr, values.tolist()), strict=True))
        for name, (steps, values) in found.series.items()
    }
