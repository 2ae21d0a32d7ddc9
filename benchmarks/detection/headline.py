"""What a person is told is the cause: that of the first incident that pages.

Rules of this file: the answer at the first page is what a person acts on, the last one what an incident ends with.
"""

from collections.abc import Sequence

from lossguard_server.rules.incident import Incident, IncidentChange

from .story import Cause


def first_page(news: Sequence[IncidentChange]) -> Incident | None:
    """The first incident that is critical, as it was told then."""
    return next((change.incident for change in news if change.incident.severity == "critical"), None)


def last_said(news: Sequence[IncidentChange], incident: Incident) -> Incident:
    """The same incident as it was told last."""
    return [change.incident for change in news if change.incident.id == incident.id][-1]


def cause_of(incident: Incident) -> Cause:
    return Cause(incident.cause["kind"], incident.cause["name"])


def words(incident: Incident) -> str:
    cause, top = incident.cause, incident.headline
    return f"{cause['kind']} {cause['name'] or '?'} by {top['rule']} of {top['series']}"
