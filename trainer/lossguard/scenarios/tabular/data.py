"""Rows of an industrial plant's sensors, standardised, with missing and a few extreme readings, and its mode.

Rules of this file:
- A batch is a pure function of (seed, step, batch size, rows), made on the CPU from one generator of its own; so is
  the scaler, of the seed alone.
- Shapes: B windows, padded to T rows, F = SENSORS numeric columns.
- NaN is what the plant writes for a reading that it has not; behind `standardised` there is none.
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from ..seeding import FIRST_VALIDATION_STEP, generator_of

ROWS, LARGE_ROWS = 128, 1_024  # the report's sequence length
SENSORS = 8
MODES = 6
WAVES = 3  # slow processes of the plant that all sensors see
EXTREME_PART, EXTREME_SIGMA = 2e-3, 6.0  # what standardising leaves of an industrial sensor's outliers
SPACING_S, DAY_S, WEEK_S = 600, 86_400, 604_800
EPOCH_S, YEAR_S = 1_700_438_400, 31_536_000  # Monday 20 November 2023, 00:00 UTC; windows begin in the year after it
DAILY, WEEKLY = 0.4, 0.3  # how far the plant's load goes with the hour, and falls at the weekend
TIME_FEATURES = 4
# level and spread of each sensor, in units of its own: temperatures, pressures, flows, a speed, a vibration, a valve
UNITS = ((350, 12), (80, 5), (2.1, 0.06), (31, 2.5), (12_000, 900), (140, 30), (1_480, 4), (0.4, 0.1))
SINGLE_PART = 0.03  # readings that are missing one by one
OUTAGE_PART, OUTAGES = 0.16, 8  # sensors that are silent for an eighth of a window
MEASURED_PART = (1 - SINGLE_PART) * (1 - OUTAGE_PART / OUTAGES)
FIT_STEP, FIT_WINDOWS = 1 << 42, 64  # the scaler's part of the training, a range of steps of its own


@dataclass(frozen=True)
class Records:
    """What the plant wrote down, padded at the end.

    readings: [B, T, F] float32 in the sensors' units, NaN where one is missing. mode: [B, T] int64, 0 to MODES - 1.
    time_s: [B, T] int64, since 1970. rows: [B, T] bool, false in the padding, where all else is 0.
    """

    readings: Tensor
    mode: Tensor
    time_s: Tensor
    rows: Tensor


@dataclass(frozen=True)
class Scaler:
    """The standard scaler: [F] float32 each, in the sensors' units."""

    mean: Tensor
    deviation: Tensor


@dataclass(frozen=True)
class Batch:
    """numeric: [B, T, F] float32, about 0 and 1 wide, 0 where `measured` [B, T, F] bool is false. mode: [B, T] int64.

    rows: [B, T] bool, false in the padding. time: [B, T, TIME_FEATURES] float32, -1 to 1.
    """

    numeric: Tensor
    measured: Tensor
    mode: Tensor
    rows: Tensor
    time: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same batch there."""
        return Batch(*(part.to(device) for part in vars(self).values()))


@cache
def mixing() -> Tensor:
    """[WAVES, F]: how much each sensor sees of each process; the same plant for every run."""
    mix = torch.randn(WAVES, SENSORS, generator=torch.Generator().manual_seed(1024))
    return mix / mix.square().sum(0).sqrt()


def records(seed: int, step: int, batch_size: int, rows: int = ROWS) -> Records:
    """The windows of one step; raises ValueError for a negative seed or step, an empty batch, or fewer than 2 rows."""
    if seed < 0 or step < 0 or batch_size < 1 or rows < 2:
        raise ValueError(f"seed and step are 0 or more and a batch has rows, got {seed}, {step}, {batch_size}, {rows}")
    generator = generator_of(seed, step)
    period = 16 + 112 * torch.rand(batch_size, 1, WAVES, generator=generator)
    phase = 2 * math.pi * torch.rand(batch_size, 1, WAVES, generator=generator)
    row = torch.arange(rows)[None, :, None]
    waves = math.sqrt(2) * torch.sin(2 * math.pi * row / period + phase)
    noise = torch.randn(batch_size, rows, SENSORS, generator=generator)
    extreme = torch.rand(noise.shape, generator=generator) < EXTREME_PART
    begin = torch.randint(0, YEAR_S // SPACING_S, (batch_size, 1), generator=generator)
    time_s = EPOCH_S + SPACING_S * (begin + row[..., 0])
    states = 0.95 * waves @ mixing() + _load(time_s)[..., None]
    states = states + 0.3 * noise * torch.where(extreme, EXTREME_SIGMA / 0.3, 1.0)
    # the mode follows two of the processes, so that the sensors tell of it
    mode = 3 * (waves[..., 0] > 0) + (waves[..., 1] > -0.6).long() + (waves[..., 1] > 0.6)
    level, spread = torch.tensor(UNITS).T
    readings = (level + spread * states).masked_fill(_missing(generator, batch_size, rows), math.nan)
    length = torch.randint(rows // 2, rows + 1, (batch_size, 1), generator=generator)
    there = row[..., 0] < length
    return Records(readings.where(there[..., None], 0.0), mode.where(there, 0), time_s.where(there, 0), there)


def _load(time_s: Tensor) -> Tensor:
    """How busy the plant is: highest at noon, lower at the weekend."""
    day = torch.cos(2 * math.pi * ((time_s % DAY_S) / DAY_S - 0.5))
    weekend = (time_s - EPOCH_S) % WEEK_S >= 5 * DAY_S
    return DAILY * day - WEEKLY * weekend


def _missing(generator: torch.Generator, batch_size: int, rows: int) -> Tensor:
    """[B, T, F]: single readings, and sensors that are silent for a while."""
    single = torch.rand(batch_size, rows, SENSORS, generator=generator) < SINGLE_PART
    silent = torch.rand(batch_size, 1, SENSORS, generator=generator) < OUTAGE_PART
    since = torch.randint(0, rows, (batch_size, 1, SENSORS), generator=generator)
    # round the window's end, so that a reading of every row is as likely to be missing
    within = (torch.arange(rows)[None, :, None] - since) % rows < rows // OUTAGES
    return single | (silent & within)


@cache
def scaler(seed: int) -> Scaler:
    """Fit on a part of the training with that seed: missing readings ignored, extremes included; no padding."""
    part = records(seed, FIT_STEP, FIT_WINDOWS)
    readings = part.readings[part.rows]
    mean = readings.nanmean(0)
    return Scaler(mean, (readings - mean).square().nanmean(0).sqrt())


def standardised(written: Records, by: Scaler) -> Batch:
    """What a training takes of the records: no NaN, and who is missing beside it."""
    measured = written.readings.isfinite() & written.rows[..., None]
    numeric = ((written.readings - by.mean) / by.deviation).where(measured, 0.0)
    time = time_features(written.time_s) * written.rows[..., None]
    return Batch(numeric, measured, written.mode, written.rows, time)


def time_features(time_s: Tensor) -> Tensor:
    """[...] int64 s since 1970 to [..., TIME_FEATURES]: sine and cosine of the hour of day and of the day of week."""
    day, week = (time_s % DAY_S) / DAY_S, ((time_s - EPOCH_S) % WEEK_S) / WEEK_S
    angles = 2 * math.pi * torch.stack([day, day, week, week], dim=-1)
    return torch.where(torch.tensor([True, False, True, False]), angles.sin(), angles.cos())


def make_batch(seed: int, step: int, batch_size: int, rows: int = ROWS) -> Batch:
    """The windows of one step, standardised; raises ValueError as `records` does."""
    return standardised(records(seed, step, batch_size, rows), scaler(seed))


def validation_batch(seed: int, batch_size: int, device: torch.device, rows: int = ROWS) -> Batch:
    """Windows that the training with the same seed never sees."""
    return make_batch(seed, FIRST_VALIDATION_STEP, batch_size, rows).to(device)
