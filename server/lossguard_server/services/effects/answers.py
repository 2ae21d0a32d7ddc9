"""The alerts around a command: how many were open before and after, which are new, and whether its own is over.

Rules of this file: pure, over alerts as stored. An alert is open from the first step that counted against it until the
step at which it was resolved. What ended because a person switched its rule off, or was over before the command, is no
merit of the command.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ...store.commands import StoredCommand
from .verdict import ROLLBACK, Alerts, Answered

Alert = Mapping[str, Any]


def alerts_around(
    stored: Sequence[Alert], command: StoredCommand, at_step: int, behind: int, patient_step: int
) -> Alerts:
    """`behind`: the end of the stretch; the command's own alert may end until `patient_step`."""
    before = [alert for alert in stored if _was_open(alert, command, at_step)]
    after = [alert for alert in stored if _is_open(alert, behind - 1)]
    new = [alert for alert in after if alert["step"] >= at_step and _is_critical(alert)]
    return Alerts(
        open=(len(before), len(after)),
        critical=(sum(map(_is_critical, before)), sum(map(_is_critical, after))),
        new_critical=tuple((alert["rule"], alert["step"]) for alert in new if alert["id"] != command.alert)[::-1],
        answered=_answered(stored, command, at_step, patient_step),
    )


def _answered(stored: Sequence[Alert], command: StoredCommand, at_step: int, patient_step: int) -> Answered | None:
    alert = next((each for each in stored if each["id"] == command.alert), None)
    if alert is None or "switched_off" in alert["evidence"]:
        return None
    over_step = _over_step(alert)
    if over_step is None or _was_rolled_back(alert, command):
        return Answered(alert["rule"], over_step)
    if over_step < at_step:
        return None
    return Answered(alert["rule"], over_step if over_step <= patient_step else None)


def _was_open(alert: Alert, command: StoredCommand, at_step: int) -> bool:
    if command.kind == ROLLBACK:  # before it are the steps that it undid
        from_step = command.old if type(command.old) is int else at_step
        return _was_rolled_back(alert, command) or _is_open(alert, max(at_step, from_step) - 1)
    return _is_open(alert, at_step - 1)


def _was_rolled_back(alert: Alert, command: StoredCommand) -> bool:
    return command.kind == ROLLBACK and alert["evidence"].get("rolled_back_to") == command.new


def _is_open(alert: Alert, step: int) -> bool:
    over_step = _over_step(alert)
    return bool(alert["step"] <= step and (over_step is None or over_step > step))


def _over_step(alert: Alert) -> int | None:
    if alert["state"] != "resolved":
        return None
    return int(alert["last_step"] if alert["resolved_step"] is None else alert["resolved_step"])


def _is_critical(alert: Alert) -> bool:
    return bool(alert["severity"] == "critical")
