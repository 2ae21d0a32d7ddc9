"""The engine: rows to windows, windows to findings, findings to alerts."""

from .engine import Engine
from .ledger import RULE_HEALTH

__all__ = ["RULE_HEALTH", "Engine"]
