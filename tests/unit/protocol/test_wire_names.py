"""What may be a name, and what a name says."""

import pytest

from lossguard.protocol import names


@pytest.mark.parametrize(
    "name", ["ce", "loss/total", "a b", "日本", "e\u0301", "🦊", "x" * 512, "é" * 256, "grad_cos/a|b"]
)
def test_text_is_a_name(name: str) -> None:
    assert names.fault_in(name) is None


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "it is empty"),
        ("x" * 513, "it has 513 bytes, at most 512 are allowed"),
        ("é" * 257, "it has 514 bytes, at most 512 are allowed"),
        ("\ud800", "it is not valid Unicode"),
        ("a\udcffb", "it is not valid Unicode"),
        (7, "it is not a text"),
        (None, "it is not a text"),
        (b"ce", "it is not a text"),
    ],
)
def test_a_fault_says_why(name: object, fault: str) -> None:
    assert names.fault_in(name) == fault


CONTROLS = [chr(n) for n in [*range(0x20), *range(0x7F, 0xA0)]]
BIDI_AND_INVISIBLE = [
    chr(n) for n in [0xAD, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF]
]


@pytest.mark.parametrize("char", [*CONTROLS, *BIDI_AND_INVISIBLE], ids=lambda char: f"U+{ord(char):04X}")
def test_no_control_and_no_formatting_character_anywhere_in_a_name(char: str) -> None:
    for name in (char, f"{char}loss", f"lo{char}ss", f"loss{char}"):
        assert names.fault_in(name) == "it contains a control or formatting character"


@pytest.mark.parametrize(
    ("name", "kind", "unit"),
    [
        (names.TOTAL, "loss", ""),
        (names.loss("ce"), "loss", ""),
        (names.weight("ce"), "weight", ""),
        (names.contribution("ce"), "contribution", ""),
        (names.GRAD_NORM_TOTAL, "grad_norm", ""),
        (names.grad_norm("head"), "grad_norm", ""),
        (names.matrix("R", "fro"), "matrix", ""),
        ("grad_share/ce", "grad_share", ""),
        ("grad_cos/a|b", "grad_cos", ""),
        ("count/masked", "count", ""),
        ("skipped", "count", ""),
        ("lr", "lr", ""),
        ("clip_coef", "clip", ""),
        ("step_time_s", "time", "s"),
        ("data_wait_s", "time", "s"),
        ("memory/cuda:0/allocated_gib", "memory", "GiB"),
        ("val/acc", "scalar", ""),
        (names.share("ce"), "share", ""),
        (names.evaluated(names.TOTAL), "loss", ""),
        (names.evaluated(names.matrix("R", "fro")), "matrix", ""),
        (names.evaluated(names.count("masked")), "count", ""),
        (names.evaluated("acc"), "scalar", ""),
        (names.evaluated(names.evaluated("loss/a")), "scalar", ""),
        ("evaluated/loss/a", "scalar", ""),
        ("loss", "scalar", ""),
        ("lossy/x", "scalar", ""),
    ],
)
def test_the_kind_is_a_function_of_the_name(name: str, kind: str, unit: str) -> None:
    assert (names.kind_of(name), names.unit_of(name)) == (kind, unit)
