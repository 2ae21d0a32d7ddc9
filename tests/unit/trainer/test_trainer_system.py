"""System series: real psutil, an NVML that stands for a machine with GPUs, and libraries that are missing or fail."""

import logging
import math
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import psutil
import pytest
import torch

from lossguard.protocol import names
from lossguard.system import GIB, SystemSeries


class NvmlFailure(Exception):
    pass


class FakeNvml:
    """Two GPUs; CUDA sees the second only. `broken` calls fail."""

    NVMLError = NvmlFailure

    def __init__(self, *broken: str) -> None:
        self.broken = set(broken)
        self.calls: list[str] = []

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.broken:
            raise NvmlFailure(f"{name} is not supported")

    def nvmlInit(self) -> None:
        self._call("init")

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> object:
        self._call("uuid")
        return {"GPU-first": 0, "GPU-second": 1}[uuid]

    def nvmlDeviceGetHandleByPciBusId(self, pciBusId: str) -> object:
        self._call("pci")
        return {"00000000:0A:00.0": 0, "00000000:1B:00.0": 1}[pciBusId]

    def nvmlDeviceGetUtilizationRates(self, handle: object) -> SimpleNamespace:
        self._call("utilization")
        return SimpleNamespace(gpu=[11, 87][handle])  # type: ignore[call-overload]

    def nvmlDeviceGetPowerUsage(self, handle: object) -> int:
        self._call("power")
        return [50_000, 612_500][handle]  # type: ignore[call-overload, no-any-return]

    def nvmlDeviceGetTemperature(self, handle: object, sensor: int) -> int:
        self._call("temperature")
        return [30, 64][handle] + sensor  # type: ignore[call-overload, no-any-return]

    def nvmlDeviceGetMemoryInfo(self, handle: object) -> SimpleNamespace:
        self._call("memory")
        return SimpleNamespace(used=[GIB, 3 * GIB // 2][handle])  # type: ignore[call-overload]


def second_gpu(index: int) -> SimpleNamespace:
    """CUDA_VISIBLE_DEVICES=1: what CUDA calls 0 is the second GPU of the machine."""
    assert index == 0
    return SimpleNamespace(uuid="second", total_memory=8 * GIB, pci_domain_id=0, pci_bus_id=0x1B, pci_device_id=0)


GPU = {
    "system/gpu0/utilization_percent": 87.0,
    "system/gpu0/power_w": 612.5,
    "system/gpu0/temperature_celsius": 64.0,
    "system/gpu0/memory_used_gib": 1.5,
}


def clock_of(*times_s: float) -> Callable[[], float]:
    left = list(times_s)
    return lambda: left.pop(0)


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lossguard")


def test_this_process_and_its_host() -> None:
    series = SystemSeries([torch.device("cpu")], clock_of(100.0, 110.0))
    first = series.sample()
    assert set(first) == {"system/rss_gib", "system/host_free_gib"}
    before_s = sum(psutil.Process().cpu_times()[:2])
    sum(math.sqrt(i) for i in range(200_000))
    found = series.sample()
    assert 0.01 < found["system/rss_gib"] < psutil.virtual_memory().total / GIB
    assert 0 < found["system/host_free_gib"] < psutil.virtual_memory().total / GIB
    assert 0 <= found["system/cpu_percent"] <= 10 * (sum(psutil.Process().cpu_times()[:2]) - before_s + 2)
    assert [names.unit_of(name) for name in found] == ["%", "GiB", "GiB"]


def test_the_load_is_what_was_spent_between_two_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = iter([3.0, 4.0, 4.5, 9.0, 9.0])
    monkeypatch.setattr(psutil.Process, "cpu_times", lambda self: SimpleNamespace(user=next(spent), system=1.0))
    series = SystemSeries([], clock_of(0.0, 2.0, 2.0, 3.0, 4.0))
    assert [series.sample().get("system/cpu_percent") for _ in range(5)] == [None, 50.0, None, 450.0, 0.0]


def test_a_gpu_is_found_by_its_identity_not_by_its_index() -> None:
    series = SystemSeries(["cuda:0", "cpu"], lambda: 0.0, FakeNvml(), second_gpu)
    assert GPU.items() <= series.sample().items()


def test_where_its_uuid_is_not_known_it_is_found_by_its_place_on_the_bus() -> None:
    nvml = FakeNvml("uuid")
    series = SystemSeries([torch.device("cuda", 0)] * 2, lambda: 0.0, nvml, second_gpu)
    assert GPU.items() <= series.sample().items()
    series.sample()
    assert (nvml.calls.count("init"), nvml.calls.count("pci")) == (1, 1)


def test_what_a_gpu_does_not_support_is_told_once_and_costs_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    nvml = FakeNvml("power")
    series = SystemSeries(["cuda:0"], lambda: 0.0, nvml, second_gpu)
    for _ in range(3):
        found = series.sample()
    assert {name: value for name, value in found.items() if "gpu" in name} == {
        name: value for name, value in GPU.items() if "power" not in name
    }
    assert nvml.calls.count("power") == 1
    assert [r.getMessage() for r in caplog.records] == [
        "lossguard records no more of gpu0/power_w: NvmlFailure('power is not supported')"
    ]


@pytest.mark.parametrize("broken", [("init",), ("uuid", "pci")])
def test_without_a_driver_the_rest_goes_on(broken: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    nvml = FakeNvml(*broken)
    series = SystemSeries(["cuda:0"], lambda: 0.0, nvml, second_gpu)
    for _ in range(3):
        assert "system/rss_gib" in series.sample()
    assert nvml.calls.count("init") == 1
    assert [r.levelname for r in caplog.records] == ["INFO"]


@pytest.mark.parametrize("error", [AssertionError("Invalid device id"), RuntimeError("no NVIDIA driver")])
def test_a_gpu_that_cuda_does_not_know_is_left_out(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def fails(index: int) -> SimpleNamespace:
        raise error

    nvml = FakeNvml()
    assert set(SystemSeries(["cuda:0"], lambda: 0.0, nvml, fails).sample()) == {
        "system/rss_gib",
        "system/host_free_gib",
    }
    assert (nvml.calls, len(caplog.records)) == ([], 1)


@pytest.mark.parametrize("missing", ["psutil", "pynvml"])
def test_without_a_library_the_rest_goes_on(
    missing: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    given = FakeNvml() if missing == "psutil" else None
    series = SystemSeries(["cuda:0"], lambda: 0.0, given, second_gpu)
    samples = [set(series.sample()) for _ in range(3)]
    assert samples[0] == (set(GPU) if missing == "psutil" else {"system/rss_gib", "system/host_free_gib"})
    assert len(caplog.records) == 1


def test_a_process_that_may_not_be_asked_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def denied(self: object) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "memory_info", denied)
    series = SystemSeries([], lambda: 0.0)
    assert [set(series.sample()) for _ in range(3)] == [{"system/host_free_gib"}] * 3
    assert len(caplog.records) == 1


def test_the_allocator_is_read_where_cuda_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    statistics: dict[str, object] = {}
    monkeypatch.setattr(torch.cuda, "memory_stats_as_nested_dict", lambda device: statistics)
    series = SystemSeries(["cuda:0"], lambda: 0.0, FakeNvml("init"), second_gpu)
    assert not any(name.startswith("memory/") for name in series.sample())
    allocated = {"current": GIB, "peak": 3 * GIB}
    statistics |= {"allocated_bytes": {"all": allocated}, "reserved_bytes": {"all": {"current": 2 * GIB}}}
    found = {name: value for name, value in series.sample().items() if name.startswith("memory/")}
    of_gpu = {name.removeprefix("memory/cuda:0/"): value for name, value in found.items()}
    assert of_gpu == {"total_gib": 8.0, "allocated_gib": 1.0, "peak_gib": 3.0, "reserved_gib": 2.0}


def test_torch_is_not_imported_for_it() -> None:
    script = (
        "import sys, time\nfrom lossguard.system import SystemSeries\n"
        "found = SystemSeries(['cuda:0'], time.monotonic).sample()\nprint(sorted(found), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("['system/host_free_gib', 'system/rss_gib'] False", "")
