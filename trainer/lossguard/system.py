"""What the machine does meanwhile: CPU and memory of this process, memory and load of the GPUs in use.

Rules of this file: sampled in the link thread, where a CUDA call could break a graph capture: allocator statistics and
NVML make none. Each source may be missing or fail; it is then told once and not asked again. Nothing is raised, and
torch is not imported for it.
"""

import importlib
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from .protocol import names

log = logging.getLogger("lossguard")

GIB = 2**30
NVML_TEMPERATURE_GPU = 0
# what drivers, kernels and containers that lack something were seen to raise, beside the libraries' own errors
FAILURES: tuple[type[Exception], ...] = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError,
    ValueError, Warning,
)  # fmt: skip


class Rates(Protocol):
    """Of nvmlDeviceGetUtilizationRates."""

    gpu: int


class Memory(Protocol):
    """Of nvmlDeviceGetMemoryInfo."""

    used: int


class Properties(Protocol):
    """What is used of torch.cuda.get_device_properties, beside pci_domain_id, pci_bus_id, pci_device_id."""

    uuid: object
    total_memory: int  # bytes


class Nvml(Protocol):
    """What is used of the module pynvml, which nvidia-ml-py brings."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> object: ...

    def nvmlDeviceGetHandleByPciBusId(self, pciBusId: str) -> object: ...

    def nvmlDeviceGetUtilizationRates(self, handle: object) -> Rates: ...

    def nvmlDeviceGetPowerUsage(self, handle: object) -> int: ...

    def nvmlDeviceGetTemperature(self, handle: object, sensor: int) -> int: ...

    def nvmlDeviceGetMemoryInfo(self, handle: object) -> Memory: ...


@dataclass(frozen=True)
class Source:
    """Something that is asked at each sample; after one of its `failures` it is not asked again."""

    name: str
    read: Callable[[], Mapping[str, float]]
    failures: tuple[type[Exception], ...] = FAILURES


class SystemSeries:
    """Samples of this process, its host and the GPUs of `devices` ("cuda:0", torch.device). `clock`: monotonic seconds.

    `nvml` and `properties` (of a CUDA index) stand for pynvml and torch.cuda.get_device_properties.
    """

    def __init__(
        self,
        devices: Iterable[object],
        clock: Callable[[], float],
        nvml: Nvml | None = None,
        properties: Callable[[int], Properties] | None = None,
    ) -> None:
        gpus = _cuda(devices)
        whole_bytes: dict[str, int] = {}
        self._sources = [Source(f"the memory of {device}", _allocator(device, whole_bytes)) for device in gpus]
        self._unopened: list[tuple[str, Callable[[], list[Source]]]] = [
            ("process and host", lambda: _process_sources(clock))
        ]
        if gpus:
            try:
                # asked now, in the training thread, because it may call CUDA
                known = {_index(device): _properties(device, properties) for device in gpus}
            except FAILURES as error:
                log.info("lossguard records nothing of the GPUs: %r", error)
            else:
                whole_bytes |= {f"cuda:{index}": each.total_memory for index, each in known.items()}
                self._unopened.append(("the GPUs", lambda: _gpu_sources(nvml, known)))

    def sample(self) -> dict[str, float]:
        """Value by series, in the unit at the end of its name. The first sample opens the libraries."""
        while self._unopened:
            name, open_ = self._unopened.pop(0)
            try:
                self._sources += open_()
            except FAILURES as error:
                log.info("lossguard records nothing of %s: %r", name, error)
        values: dict[str, float] = {}
        for source in list(self._sources):
            try:
                values.update(source.read())
            except source.failures as error:
                self._sources.remove(source)
                log.info("lossguard records no more of %s: %r", source.name, error)
        return values


class CpuShare:
    """Per cent of one core that this process used since the sample before, as top counts; nothing for the first."""

    def __init__(self, clock: Callable[[], float], spent_s: Callable[[], float]) -> None:
        self._clock, self._spent_s = clock, spent_s
        self._before: tuple[float, float] | None = None

    def __call__(self) -> dict[str, float]:
        now_s, spent_s = self._clock(), self._spent_s()
        before, self._before = self._before, (now_s, spent_s)
        if before is None or now_s <= before[0]:
            return {}
        return {names.system("cpu_percent"): 100 * (spent_s - before[1]) / (now_s - before[0])}


def _process_sources(clock: Callable[[], float]) -> list[Source]:
    psutil = importlib.import_module("psutil")
    process = psutil.Process()

    def spent_s() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    def resident() -> dict[str, float]:
        return {names.system("rss_gib"): process.memory_info().rss / GIB}

    def host() -> dict[str, float]:
        return {names.system("host_free_gib"): psutil.virtual_memory().available / GIB}

    reads: dict[str, Callable[[], dict[str, float]]] = {
        "the CPU time": CpuShare(clock, spent_s),
        "the resident memory": resident,
        "the host's memory": host,
    }
    return [Source(name, read, (*FAILURES, psutil.Error)) for name, read in reads.items()]


def _cuda(devices: Iterable[object]) -> list[str]:
    """Distinct "cuda:i" of `devices`; a device without an index would have to be asked for, which is a CUDA call."""
    return [name for name in dict.fromkeys(map(str, devices)) if name.startswith("cuda:")]


def _index(device: str) -> int:
    return int(device.removeprefix("cuda:"))


def _allocator(device: str, whole_bytes: Mapping[str, int]) -> Callable[[], dict[str, float]]:
    def read() -> dict[str, float]:
        torch = sys.modules.get("torch")
        statistics = torch.cuda.memory_stats_as_nested_dict(device) if torch is not None else {}
        if not statistics:  # empty until CUDA has been used
            return {}
        found = {what: statistics[f"{what}_bytes"]["all"]["current"] for what in ("allocated", "reserved")}
        found["peak"] = statistics["allocated_bytes"]["all"]["peak"]
        if device in whole_bytes:
            found["total"] = whole_bytes[device]
        return {names.memory(device, f"{what}_gib"): size_bytes / GIB for what, size_bytes in found.items()}

    return read


def _properties(device: str, properties: Callable[[int], Properties] | None) -> Properties:
    ask: Callable[[int], Properties] = properties or sys.modules["torch"].cuda.get_device_properties
    return ask(_index(device))


def _gpu_sources(given: Nvml | None, known: Mapping[int, Properties]) -> list[Source]:
    nvml: Nvml = given or importlib.import_module("pynvml")
    try:
        nvml.nvmlInit()
        handles = {index: _handle(nvml, properties) for index, properties in known.items()}
    except nvml.NVMLError as error:
        raise RuntimeError(f"NVML: {error}") from error
    reads: dict[str, Callable[[object], float]] = {
        "utilization_percent": lambda handle: nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
        "power_w": lambda handle: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        "temperature_celsius": lambda handle: nvml.nvmlDeviceGetTemperature(handle, NVML_TEMPERATURE_GPU),
        "memory_used_gib": lambda handle: nvml.nvmlDeviceGetMemoryInfo(handle).used / GIB,
    }
    return [
        Source(
            f"gpu{index}/{what}",
            _gpu_read(names.system(f"gpu{index}/{what}"), read, handle),
            (*FAILURES, nvml.NVMLError),
        )
        for index, handle in handles.items()
        for what, read in reads.items()
    ]


def _gpu_read(series: str, read: Callable[[object], float], handle: object) -> Callable[[], dict[str, float]]:
    return lambda: {series: float(read(handle))}


def _handle(nvml: Nvml, properties: Properties) -> object:
    """CUDA counts the devices that CUDA_VISIBLE_DEVICES lets it see, NVML counts all: the index is not the same."""
    try:
        return nvml.nvmlDeviceGetHandleByUUID(f"GPU-{properties.uuid}")
    except nvml.NVMLError:
        place = [getattr(properties, f"pci_{part}_id") for part in ("domain", "bus", "device")]
        return nvml.nvmlDeviceGetHandleByPciBusId("{:08X}:{:02X}:{:02X}.0".format(*place))
