"""CSV of other tools: whichever way it is laid out, the points are those of the file, and a bad file says where."""

import re
from pathlib import Path

import pytest

from lossguard_server.terminal.importing.csv_files import read_csv
from lossguard_server.terminal.importing.points import BadFile, Found
from unit.terminal.imported import points


def read(folder: Path, text: str | bytes, step_column: str | None = None) -> Found:
    path = folder / "log.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_csv(path, "n", step_column)


def test_wide_rows_with_gaps_and_every_spelling_of_what_is_not_finite(tmp_path: Path) -> None:
    found = read(tmp_path, "step,a,b/c\n0,nan,1e-3\n1,,-inf\n2,Infinity,-0.0\n3,-1.#IND,1.#INF\n5,NA,<NA>\n")
    assert points(found) == {
        "a": [(0, "nan"), (2, "inf"), (3, "nan")],
        "b/c": [(0, "0.001"), (1, "-inf"), (2, "-0.0"), (3, "inf")],
    }
    assert (found.skipped, found.repeated, found.unordered, found.remarks) == (0, 0, 0, ())


@pytest.mark.parametrize(
    "head", ["step", "_step", "Step", "global_step", "trainer/global_step", "iteration", "iter", "epoch"]
)
def test_the_usual_columns_of_steps_are_known(tmp_path: Path, head: str) -> None:
    assert points(read(tmp_path, f"loss,{head}\n0.5,3\n")) == {"loss": [(3, "0.5")]}


def test_the_column_of_steps_can_be_named_and_w_and_b_s_own_goes_first(tmp_path: Path) -> None:
    text = "_step,step,_timestamp,loss\n1,10,1700000000,0.5\n2,20,1700000060,0.25\n"
    assert points(read(tmp_path, text))["step"] == [(1, "10.0"), (2, "20.0")]
    named = read(tmp_path, text, "step")
    assert points(named)["loss"] == [(10, "0.5"), (20, "0.25")]
    assert (named.first_s, named.last_s) == (1_700_000_000.0, 1_700_000_060.0)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_and_line_ends(tmp_path: Path, separator: str) -> None:
    text = "\ufeff" + separator.join(["step", '"a,b"', "c"]) + "\r\n\r\n" + separator.join("123") + "\r\n"
    assert points(read(tmp_path, text)) == {"a,b": [(1, "2.0")], "c": [(1, "3.0")]}


def test_a_row_a_point_with_mlflow_s_flag(tmp_path: Path) -> None:
    text = "key,value,timestamp,run_uuid,step,is_nan\nloss,0.5,1700000000000,r,0,0\nloss,0.0,1700000001000,r,1,1\n"
    found = read(tmp_path, text)
    assert points(found) == {"loss": [(0, "0.5"), (1, "nan")]}
    assert found.last_s == 1_700_000_001.0
    with pytest.raises(BadFile, match=r"line 4: It belongs to another run .*'q', 'r'"):
        read(tmp_path, f"{text}loss,1,0,q,2,0\n")


def test_steps_out_of_order_and_repeated_are_sorted_and_the_last_wins(tmp_path: Path) -> None:
    found = read(tmp_path, "step,a,b\n5,1,1\n3,2,\n5,3,2\n9.0,4,text\n")
    assert points(found) == {"a": [(3, "2.0"), (5, "3.0"), (9, "4.0")], "b": [(5, "2.0")]}
    assert (found.repeated, found.unordered, found.skipped) == (2, 1, 1)


def test_an_exported_header_is_read_back_and_the_index_of_pandas_is_no_series(tmp_path: Path) -> None:
    found = read(tmp_path, """,step,"'=1+1","step'","a;'@x"\n0,7,1,2,3\n""")
    assert points(found) == {"=1+1": [(7, "1.0")], "step": [(7, "2.0")], "a;@x": [(7, "3.0")]}


def test_a_last_row_that_is_cut_off_is_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, "step,a,b\n0,1,2\n1,3")
    assert points(found) == {"a": [(0, "1.0")], "b": [(0, "2.0")]}
    assert found.remarks == ("line 3 is cut off and was left out",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"line 1: There is no header"),
        ("a,b\n1,2\n", r"line 1: There is no column of steps among 'a', 'b'\..*--step-column"),
        ("step,a,a\n", r"line 1: Two columns are called 'a'"),
        ("step,a\n1,2,3\n", r"line 2: It has 3 cells, the header has 2"),
        ("step,a,b\n1,2\n3,4,5\n", r"line 2: It has 2 cells"),
        ("step,a\n-1,2\n", r"line 2: '-1' is no step"),
        ("step,a\n0,1\n0.5,2\n", r"line 3: '0.5' is no step"),
        ("step,a\n,2\n", r"line 2: '' is no step"),
        ("step,a\n1e300,2\n", r"line 2: '1e300' is no step"),
        ("step,a\nnan,2\n", r"line 2: 'nan' is no step"),
        (f"step,a\n{1 << 53},2\n", r"is no step"),
        ("step,a\u202eb\n1,2\n", r"line 1: .* cannot name a series: it contains a control or formatting"),
        (f"step,{'x' * 513}\n1,2\n", r"line 1: .* at most 512"),
        ("step,name,value\n1,,2\n", r"line 2: '' cannot name a series: it is empty"),
        ('step,a\n1,"x"y\n', r"line 2: It is not CSV"),
        (b"step,a\n1,\xff\n", r"It is not UTF-8"),
        ("step,a\n1,\n", r"It holds no numbers"),
        ("step\n1\n", r"It holds no numbers"),
    ],
)
def test_a_bad_file_says_where_and_what_to_do(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(BadFile) as caught:
        read(tmp_path, text)
    told = f"{caught.value.message} {caught.value.hint}"
    assert told.startswith(str(tmp_path / "log.csv"))
    assert re.search(says, told), told


def test_a_number_with_underscores_is_a_text(tmp_path: Path) -> None:
    found = read(tmp_path, "step,a,b\n1,1_0,2\n")
    assert points(found) == {"b": [(1, "2.0")]}
    assert found.skipped == 1
