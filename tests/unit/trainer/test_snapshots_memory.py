"""The memory that may be taken: the tighter of machine and container."""

from pathlib import Path

import pytest

from lossguard.snapshots.host_memory import free_bytes

MIB = 1 << 20


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = {"proc/meminfo": "MemTotal:  9000 kB\nMemFree:  10 kB\nMemAvailable:   4096 kB\n"}
V2 = "sys/fs/cgroup/memory."
V1 = "sys/fs/cgroup/memory/memory."


@pytest.mark.parametrize(
    ("files", "mib"),
    [
        ({}, 4),
        ({f"{V2}max": "max\n", f"{V2}current": "77\n"}, 4),
        ({f"{V2}max": f"{8 * MIB}\n", f"{V2}current": f"{7 * MIB}\n"}, 1),
        ({f"{V2}max": f"{8 * MIB}", f"{V2}current": f"{7 * MIB}", f"{V2}stat": f"anon 3\ninactive_file {MIB}\n"}, 2),
        ({f"{V2}max": f"{8 * MIB}", f"{V2}current": f"{9 * MIB}"}, 0),
        ({f"{V1}limit_in_bytes": f"{8 * MIB}", f"{V1}usage_in_bytes": f"{5 * MIB}"}, 3),
        ({f"{V1}limit_in_bytes": "9223372036854771712", f"{V1}usage_in_bytes": f"{5 * MIB}"}, 4),
    ],
)  # fmt: skip
def test_the_tighter_one_counts(files: dict[str, str], mib: int, tmp_path: Path) -> None:
    assert free_bytes(machine(tmp_path, MEMINFO | files)) == mib * MIB


def test_without_the_kernels_word_it_is_half_of_the_machine_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr("os.sysconf", pages.__getitem__)
    assert free_bytes(tmp_path) == 2_048_000

    def unknown(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr("os.sysconf", unknown)
    assert free_bytes(tmp_path) == 0


def test_here_it_is_something() -> None:
    assert 1 * MIB < free_bytes() < 1 << 50
