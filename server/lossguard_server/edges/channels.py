"""The routes of notifications: channels for those who may see secrets, the outbox for those who may look.

Rules of this file: an address or a secret comes in and never goes out again, but for a webhook's secret once.
"""

from datetime import time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import FastAPI, Query, Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from starlette.responses import Response

from ..services.notifying.channel import quiet_of
from ..services.notifying.channels import Asked, Channels
from ..services.notifying.news import News
from ..services.notifying.policy import Wishes
from ..services.notifying.told import DELIVERED
from ..services.tokens import Principal
from ..store.outbox import Notice
from .answers import Json, items
from .gate import PRINCIPAL
from .http import REFUSALS

CLOCK_TIME = r"^([01]\d|2[0-3]):[0-5]\d$"
NOTICES_MAX = 1_000

Secret = Annotated[SecretStr, Field(min_length=8, max_length=200)]
Project = Annotated[str, Field(max_length=512)]  # in bytes, as of a trainer's
Address = Annotated[SecretStr, Field(min_length=1, max_length=2_000)]
Limit = Annotated[int, Query(ge=1, le=NOTICES_MAX)]


class QuietHours(BaseModel):
    """From one local time of the day to another; `zone` is an IANA name."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    from_: Annotated[str, Field(alias="from", pattern=CLOCK_TIME, examples=["22:00"])]
    to: Annotated[str, Field(pattern=CLOCK_TIME, examples=["07:00"])]
    zone: Annotated[str, Field(max_length=100, examples=["Europe/Berlin"])] = "UTC"
    nonfinite_breaks: bool = False

    @field_validator("zone")
    @classmethod
    def _is_known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # of a name with a slash in front, of a folder
            raise ValueError("no such time zone is known here") from None
        return zone

    @model_validator(mode="after")
    def _lasts(self) -> "QuietHours":
        if time.fromisoformat(self.from_) == time.fromisoformat(self.to):
            raise ValueError("quiet hours that begin when they end are none, or all; switch the channel off instead")
        return self


class ChannelRequest(BaseModel):
    """A channel. `url` and `secret` may be left out when it is changed: they stay as they are."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(min_length=1, max_length=200)]
    kind: Literal["webhook", "apprise"]
    url: Address | None = None
    secret: Secret | None = None
    enabled: bool = True
    severity: Literal["critical", "warning"] = "critical"
    projects: Annotated[list[Project], Field(max_length=100)] = []
    resolved: bool = False
    quiet: QuietHours | None = None

    @field_validator("projects")
    @classmethod
    def _may_be(cls, projects: list[str]) -> list[str]:
        if any(len(_bytes(project)) > 512 for project in projects):
            raise ValueError("no project's name is longer than 512 bytes")
        return projects

    @field_validator("name")
    @classmethod
    def _is_text(cls, name: str) -> str:
        _bytes(name)
        return name

    def asked(self) -> Asked:
        """What the service is asked for."""
        quiet = None if self.quiet is None else quiet_of(self.quiet.model_dump(by_alias=True))
        return Asked(
            name=self.name,
            kind=self.kind,
            url=None if self.url is None else self.url.get_secret_value().strip(),
            secret=None if self.secret is None else self.secret.get_secret_value(),
            enabled=self.enabled,
            wishes=Wishes(self.severity, tuple(self.projects), self.resolved, quiet),
        )


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError("it is not valid Unicode") from None


class Channel(BaseModel):
    """A channel, without secrets: `service` names where it leads, `secret` shows the end of what signs."""

    id: str
    name: str
    kind: str
    service: str
    enabled: bool
    severity: str
    projects: list[str]
    resolved: bool
    quiet: QuietHours | None
    secret: str | None
    created_s: float


class Tested(BaseModel):
    """What the other side said of a test message."""

    delivered: bool
    status: int | None
    said: str
    took_s: float


class Notification(BaseModel):
    """An entry of the outbox."""

    key: str
    channel: str
    channel_name: str
    run: str | None
    incident: str
    kind: str
    severity: str
    step: int
    message: str
    count: int
    state: Literal["held", "owed", "delivered", "given_up", "dropped", "folded"]
    tries: int
    created_s: float
    due_s: float
    said: str | None


class ChannelRoutes:
    """The handlers."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    async def channels(self) -> Response:
        """Every channel, oldest first, without secrets."""
        return items([channel.shown() for channel in await self._channels.listed()])

    async def create_channel(self, request: Request, body: ChannelRequest) -> Response:
        """Make a channel; a webhook's secret is told once."""
        made = await self._channels.create(body.asked(), _actor(request))
        return Json({**made.shown(), "secret": made.secret or None}, status_code=201)

    async def change_channel(self, request: Request, id: str, body: ChannelRequest) -> Response:
        """Change a channel."""
        return Json((await self._channels.change(id, body.asked(), _actor(request))).shown())

    async def delete_channel(self, request: Request, id: str) -> Response:
        """Remove a channel, with what is still owed to it."""
        await self._channels.remove(id, _actor(request))
        return Response(status_code=204)

    async def test_channel(self, request: Request, id: str) -> Response:
        """Send a real message over the channel now; what the other side said of it."""
        told, took_s = await self._channels.test(id, _actor(request))
        return Json(
            {
                "delivered": told.outcome == DELIVERED,
                "status": told.status,
                "said": told.said,
                "took_s": round(took_s, 3),
            }
        )

    async def notifications(self, limit: Limit = 200) -> Response:
        """The outbox, newest first: what is owed, what was delivered, what was given up and why."""
        return items([_notification(notice, name) for notice, name in await self._channels.notices(limit)])


def add_routes(app: FastAPI, routes: ChannelRoutes) -> None:
    """Put the handlers on the app."""
    listed: dict[str, Any] = {"model": dict[str, list[Channel] | None]}
    notices: dict[str, Any] = {"model": dict[str, list[Notification] | None]}
    one = "/api/channels/{id}"
    for method, path, handler, status, answer in (
        ("GET", "/api/channels", routes.channels, 200, listed),
        ("POST", "/api/channels", routes.create_channel, 201, {"model": Channel}),
        ("PUT", one, routes.change_channel, 200, {"model": Channel}),
        ("DELETE", one, routes.delete_channel, 204, {"description": "Done."}),
        ("POST", f"{one}/test", routes.test_channel, 200, {"model": Tested}),
        ("GET", "/api/notifications", routes.notifications, 200, notices),
    ):
        app.add_api_route(
            path, handler, methods=[method], response_model=None, status_code=status,
            responses={status: answer, **REFUSALS}, operation_id=handler.__name__,
        )  # fmt: skip
        if method == "GET":
            app.add_api_route(path, handler, methods=["HEAD"], response_model=None, include_in_schema=False)


def _notification(notice: Notice, channel_name: str) -> dict[str, Any]:
    news, count = News.from_dict(notice.body["news"][-1]), int(notice.body["count"])
    return {
        "key": notice.key,
        "channel": notice.channel,
        "channel_name": channel_name,
        "run": notice.run,
        "incident": notice.incident,
        "kind": news.kind if count == 1 else "digest",
        "severity": news.severity,
        "step": news.step,
        "message": news.message,
        "count": count,
        "state": notice.state,
        "tries": notice.tries,
        "created_s": notice.created_s,
        "due_s": notice.due_s,
        "said": notice.said,
    }


def _actor(request: Request) -> str:
    principal = request.scope[PRINCIPAL]
    assert isinstance(principal, Principal)
    return principal.token_id
