"""CSV, JSON lines and Parquet: every float comes back with its bits, NaN is not missing, and names harm nobody."""

import csv
import io
import json
import sys
from collections.abc import Sequence

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossguard.protocol.frames import Columns
from lossguard_server.errors import ParquetNotInstalled
from lossguard_server.services.exporting.names import column, csv_column
from lossguard_server.services.exporting.parquet import METADATA_KEY, Parquet
from lossguard_server.services.exporting.table import Block, Cut, Format
from lossguard_server.services.exporting.text import Csv, JsonLines, texts
from lossguard_server.store.points import Branch
from lossguard_server.terminal.importing.names import csv_series, series

NAN, INF = np.nan, np.inf


def written(form: Format, names: Sequence[str], *found: Block) -> bytes:
    asked = Cut("r", tuple(names), 0, 0, 0, sum(len(each.steps) for each in found), Branch(1.0, frozenset()))
    return b"".join([form.begin(asked), *map(form.rows, found), form.end()])


def block(steps: Sequence[int], rows: Sequence[Sequence[float | None]]) -> Block:
    """None: missing."""
    present = np.array([[value is not None for value in row] for row in rows])
    values = np.array([[value or 0.0 if value is None else value for value in row] for row in rows], np.float64)
    return Block(np.array(steps, np.int64), values, present)


ODD = block([0, 7, 9], [[1.5, NAN, None], [None, INF, -0.0], [-INF, 1e300, 5e-324]])


def test_csv_has_empty_cells_for_missing_and_words_for_what_is_not_finite() -> None:
    assert written(Csv(), ["a", "b/c", 'd "e",f'], ODD).decode() == (
        'step,"a","b/c","d ""e"",f"\r\n0,1.5,NaN,\r\n7,,Infinity,-0.0\r\n9,-Infinity,1e300,5e-324\r\n'
    )
    assert written(Csv(), []) == b"step\r\n"


def test_json_lines_leave_missing_out() -> None:
    lines = written(JsonLines(), ["a", "b/c", 'd"'], ODD).decode().splitlines()
    assert lines == [
        '{"step":0,"a":1.5,"b/c":"NaN"}',
        '{"step":7,"b/c":"Infinity","d\\"":-0.0}',
        '{"step":9,"a":"-Infinity","b/c":1e300,"d\\"":5e-324}',
    ]
    assert written(JsonLines(), []) == b""


# drawn from all bits alone, NaN would come once in a thousand draws and -0.0 never
SPECIAL = [1 << 63, 0, 1, 0x7FF << 52, 0xFFF << 52, 0x7FF8 << 48, 0xFFF8 << 48 | 0xABC, 0x7FF << 52 | 1, (1 << 64) - 1]
BITS = st.lists(st.sampled_from(SPECIAL) | st.integers(0, (1 << 64) - 1), min_size=1, max_size=50)


@given(BITS)
def test_text_gives_the_same_float_again(bits: list[int]) -> None:
    values: Columns = np.array(bits, np.uint64).view(np.float64)
    back = np.array([float(text) for text in texts(values)])
    same = (back.view(np.uint64) == values.view(np.uint64)) | (np.isnan(back) & np.isnan(values))
    assert same.all()


@given(BITS)
def test_parquet_gives_the_same_bits_again_nan_payloads_included(bits: list[int]) -> None:
    values: Columns = np.array(bits, np.uint64).view(np.float64)
    present = np.arange(2 * len(bits)).reshape(-1, 2) % 3 > 0
    found = Block(np.arange(len(bits)) * 3, np.stack([values, values[::-1]], axis=1), present)
    table = pq.read_table(io.BytesIO(written(Parquet({}), ["a", "b"], found, found)))
    assert table["step"].to_pylist() == [*range(0, 3 * len(bits), 3)] * 2
    for index, name in enumerate("ab"):
        there = present[:, index]
        for chunk in (table[name].slice(0, len(bits)), table[name].slice(len(bits))):
            assert [value.is_valid for value in chunk] == there.tolist()
            back = chunk.drop_null().combine_chunks().to_numpy()
            assert back.view(np.uint64).tolist() == found.values[there, index].view(np.uint64).tolist()


def test_parquet_carries_the_run_s_facts_and_null_for_missing() -> None:
    data = written(Parquet({"name": "n", "config": {"lr": NAN}}), ["a", "step", "c"], ODD)
    file = pq.ParquetFile(io.BytesIO(data))
    assert json.loads(file.schema_arrow.metadata[METADATA_KEY]) == {"name": "n", "config": {"lr": "NaN"}}
    assert file.schema_arrow.names == ["step", "a", "step'", "c"]
    assert file.read()["c"].to_pylist() == [None, -0.0, 5e-324]
    empty = pq.read_table(io.BytesIO(written(Parquet({}), [])))
    assert (empty.num_rows, empty.column_names) == (0, ["step"])


def test_parquet_without_its_package_is_a_refusal_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ParquetNotInstalled, match=r"pip install 'lossguard\[parquet\]'"):
        Parquet({})


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-1", "'-1"),
        ("+1", "'+1"),
        ("'=1", "''=1"),
        (" =1", " '=1"),
        ("a;=cmd|' /C calc'!A0;", "a;'=cmd|' /C calc'!A0;"),
        ('a",=1', "a\",'=1"),
        ("＝1", "'＝1"),
        ("step", "step'"),
        ("step''", "step'''"),
        ("loss/a-b", "loss/a-b"),
        ("'a'", "'a'"),
        ("steps", "steps"),
    ],
)
def test_no_name_becomes_a_formula_or_the_column_of_steps(name: str, shown: str) -> None:
    assert csv_column(name) == shown
    assert csv_series(shown) == name
    for cells in csv.reader(io.StringIO(written(Csv(), [name]).decode(), newline=""), strict=True):
        assert cells == ["step", shown]


@given(st.text(alphabet="'=+-@;|, \"stepa＝", max_size=12) | st.text(max_size=12) | st.just("step'"))
def test_every_name_comes_back(name: str) -> None:
    assert csv_series(csv_column(name)) == name
    assert series(column(name)) == name
    assert column(name) != "step"
