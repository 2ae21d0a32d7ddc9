"""The roof of the server: everything is made here, and handed what it needs.

Rules of this file: wiring only. Start: lock, database, writer, services, sockets. Stop: in the other direction; what
was accepted is committed and acknowledged before the sockets close, and the writer checkpoints last.
"""

import asyncio
import contextlib
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from importlib import metadata
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from . import datadir, judging
from .datadir import Note
from .edges import access, answers
from .edges.browser_socket import BrowserSocket
from .edges.comparing import ComparingApi
from .edges.comparing import add_routes as add_comparing
from .edges.export import Export
from .edges.export import add_routes as add_export
from .edges.gate import Gate
from .edges.headers import SecurityHeaders
from .edges.http import Api, Services, add_routes
from .edges.pages import Pages
from .edges.policies import PoliciesApi
from .edges.policies import add_routes as add_policies
from .edges.reads import Reads
from .edges.reports import Reports
from .edges.reports import add_routes as add_reports
from .edges.shelf import ShelfApi, ShelfServices
from .edges.shelf import add_routes as add_shelf
from .edges.steering import Steering
from .edges.steering import add_routes as add_steering
from .edges.trainer_socket import TrainerSocket
from .errors import ServerError, StorageError
from .judging import Judging, Told
from .listener import Server, listening_socket
from .services.abandoned import Abandoned
from .services.broadcast import Broadcast
from .services.clock import Clock
from .services.commands import Commands
from .services.effects.effects import Effects
from .services.effects.evidence import Evidence
from .services.folder import Folder
from .services.ingest import Ingest
from .services.policies.policies import Policies
from .services.recall import Rules
from .services.reflex import Reflex
from .services.registry import Registry
from .services.reporting.gather import Gatherer
from .services.retention import Retention
from .services.shelf import Shelf
from .services.ticking import Ticking
from .services.tokens import INGEST, Keyring, Tickets
from .services.viewing.hub import Hub
from .settings import Settings
from .store.database import Database
from .store.points import Points
from .store.writer import Writer

LOCAL_TOKEN = "local trainers"
DRAIN_TIMEOUT_S = 1.0  # with uvicorn's own second: SIGTERM ends the process in two
# While the rules work through a backlog, each hand-over between loop and writer waits this long for the interpreter:
# four trainers at full speed got 5,700 frames/s stored at the usual 5 ms, 14,800 at 1 ms, 3,100 at 0.2 ms.
SWITCH_INTERVAL_S = 0.001
SYSTEM_CLOCK = Clock(time.monotonic, time.time)


def new_id() -> str:
    """A fresh id for an alert, a command or a token."""
    return uuid.uuid4().hex


def version() -> str:
    """The installed version; a checkout that was never installed has none."""
    try:
        return metadata.version("lossguard")
    except metadata.PackageNotFoundError:
        return "0+source"


class Assembly:
    """Every part of a server but its listening socket, put together."""

    def __init__(self, settings: Settings, clock: Clock, rules: Rules | None, on_broken: Callable[[], None]) -> None:
        """Opens the database and starts the writer. Raises StartupError."""
        self.settings, self._clock = settings, clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._sockets: set[asyncio.Task[object]] = set()
        self._database = database = Database(settings.database_url, clock.monotonic_s, wall_s=clock.wall_s)
        self._writer = writer = Writer(
            database.writer_engine,
            clock.monotonic_s,
            lambda: self._on_loop(on_broken),
            database.ballast,
            database.damage,
        )
        reading = database.reading
        admin = settings.admin_token or datadir.admin_token(settings.data_dir)
        self._keyring = Keyring(admin, writer, reading, clock, new_id)
        self._tickets = Tickets(clock.monotonic_s)
        registry = Registry(reading)
        hub = Hub(clock.monotonic_s, lambda delay_s, call: asyncio.get_running_loop().call_later(delay_s, call))
        self._points = points = Points(reading)
        told = Told(self._publish_alert, self._publish_said, self._publish_incident, self._owed)
        self._judging = Judging(settings, judging.Store(writer, reading, points), clock, new_id, version(), rules, told)
        self._judge = self._judging.judge
        self._folder = Folder(writer, reading, clock)
        self._broadcast = Broadcast(hub, registry, clock, self._committed, self._judge.settle, self._commanded)
        commands = Commands(writer, reading, clock, new_id, self._broadcast.command)
        self._effects = Effects(writer, reading, Evidence(reading, points), registry, clock, self._broadcast.command)
        self._reflex = Reflex(registry, commands)
        self._policies = Policies(registry, commands, self._judging.policies, writer, reading, clock)
        self._abandoned = Abandoned(writer, reading, registry, clock, self._broadcast.command)
        ingest = Ingest(writer, reading, registry, clock, self._broadcast, commands.ring)
        self._steering = Steering(registry, commands, reading)
        self._trainers = TrainerSocket(ingest, commands, self._stopping)
        self._browsers = BrowserSocket(hub, registry, self._broadcast, self._stopping)
        forgetful = (self._judging, self._policies, self._effects, self._broadcast, points, hub)
        self._forgetting = [each.forget for each in forgetful]
        self._retention = Retention(
            writer, reading, registry, clock, settings.keep_s, self._forget, settings.keep_deleted_s
        )
        self._reads = Reads()
        self._export = Export(registry, points, self._reads)
        reported = Gatherer(points, reading, self._judging.rules_of, version())
        self._reports = Reports(registry, reported, self._reads, clock)
        self._registry = registry
        self._api = Api(
            Services(
                version=version(),
                clock=clock,
                registry=registry,
                reading=reading,
                points=points,
                commands=commands,
                judge=self._judge,
                keyring=self._keyring,
                tickets=self._tickets,
                trouble=lambda: writer.trouble,
            ),
            self._reads,
        )
        shelf = Shelf(writer, reading, registry, clock, self._broadcast.run, hub.forget)
        self._shelf = ShelfApi(ShelfServices(clock, registry, points, shelf, self._retention, self._reads))

    def app(self) -> FastAPI:
        """The ASGI application. Run its lifespan: it starts and stops what is here."""
        app = FastAPI(
            title="lossguard",
            version=version(),
            docs_url=None,
            redoc_url=None,
            openapi_url="/api/openapi.json",
            lifespan=self._lifespan,
        )
        add_routes(app, self._api)
        add_shelf(app, self._shelf)
        add_export(app, self._export)
        add_reports(app, self._reports)
        comparing = ComparingApi(self._registry, self._points, self._database.reading, self._reads, self._clock)
        add_comparing(app, comparing)
        add_steering(app, self._steering)
        add_policies(app, PoliciesApi(self._registry, self._judging.policies, self._policies))
        self._judging.add_routes(app, self._registry, self._reads)
        _add_pages(app, Pages())
        app.router.routes.append(WebSocketRoute("/ws/trainer", self._tracked(self._trainers)))
        app.router.routes.append(WebSocketRoute("/ws/live", self._tracked(self._browsers)))
        app.add_exception_handler(ServerError, answers.on_server_error)
        app.add_exception_handler(RequestValidationError, answers.on_validation_error)
        app.add_exception_handler(HTTPException, answers.on_http_error)
        app.add_exception_handler(Exception, answers.on_fault)
        app.add_middleware(
            Gate,
            table=access.Table(access.ROUTES),
            keyring=self._keyring,
            tickets=self._tickets,
            hosts=self.settings.allowed_hosts,
            origins=self.settings.allowed_origins,
        )
        app.add_middleware(SecurityHeaders)  # added last, so outermost
        return app

    async def drain(self) -> None:
        """Close every websocket: what was accepted is committed and acknowledged first."""
        self._stopping.set()
        if self._sockets:
            await asyncio.wait(self._sockets, timeout=DRAIN_TIMEOUT_S)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        await self._leave_note()
        await self._policies.recall()
        await self._effects.recall()
        self._judge.catch_up()
        self._folder.catch_up()
        self._judging.notifying.courier.wake()
        reflexes = (self._reflex.run(), self._policies.run())
        ticking = (each.run() for each in self._ticking())
        tasks = [asyncio.create_task(task) for task in (*ticking, *reflexes, self._judging.notifying.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await self.drain()
            # each waits for its thread, which may be waiting for the disk
            self._reads.close()
            await asyncio.to_thread(self._judge.close)
            await asyncio.to_thread(self._folder.close)
            await asyncio.to_thread(self._writer.close)
            self._database.close()

    async def _leave_note(self) -> None:
        """Tell trainers of the same user where the server is, with a token that stays the same over restarts."""
        folder, left = self.settings.data_dir, datadir.read_note(self.settings.data_dir)
        secret = left.ingest_token if left is not None else ""
        principal = self._keyring.principal(secret)
        if principal is None or principal.scopes != {INGEST}:
            _, secret = await self._keyring.create(LOCAL_TOKEN, [INGEST], "server")
        datadir.write_note(folder, Note(self.settings.url, secret, os.getpid()))

    def _ticking(self) -> tuple[Ticking, ...]:
        moving = {
            "telling what moves": self._broadcast.tick,
            "the writer's look at its disk": self._writer.tick,
            "folding": self._folder.tick,
            "judging": self._judge.tick,
            "policies that wait": self._policies.tick,
        }
        # these wait for the database, and the page's clock must not
        tidying = {"expiring commands": self._abandoned.tick, "judging effects": self._effects.tick}
        retaining = {"deleting old runs": self._retention.tick}  # a deletion may take long
        return Ticking(moving), Ticking(tidying), Ticking(retaining)

    def _tracked(self, handler: Callable[[WebSocket], Awaitable[None]]) -> Callable[[WebSocket], Awaitable[None]]:
        async def handle(socket: WebSocket) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._sockets.add(task)
            try:
                await handler(socket)
            finally:
                self._sockets.discard(task)

        return handle

    def _committed(self, run_id: str, size_bytes: int) -> None:
        self._judge.wake(run_id)
        self._folder.wake(run_id, size_bytes)

    def _commanded(self, command: dict[str, Any]) -> None:
        self._effects.command(command)

    def _forget(self, run_id: str) -> None:
        for forget in self._forgetting:
            forget(run_id)

    def _publish_alert(self, alert: dict[str, Any]) -> None:
        self._on_loop(lambda: self._broadcast.alert(alert))
        self._on_loop(lambda: self._reflex.alert(alert))
        self._on_loop(lambda: self._policies.alert(alert))

    def _publish_said(self, alert: dict[str, Any]) -> None:
        self._on_loop(lambda: self._broadcast.alert(alert))

    def _publish_incident(self, incident: dict[str, Any]) -> None:
        self._on_loop(lambda: self._broadcast.incident(incident))

    def _owed(self) -> None:
        self._on_loop(self._judging.notifying.courier.wake)

    def _on_loop(self, call: Callable[[], None]) -> None:
        """From another thread. After the loop has ended there is nobody left to tell."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(call)


def create_app(
    settings: Settings,
    *,
    clock: Clock = SYSTEM_CLOCK,
    rules: Rules | None = None,
    on_broken: Callable[[], None] = lambda: None,
) -> FastAPI:
    """The server as an ASGI application; its data folder must be this process's (datadir.locked).

    `rules` None: the default engine. `on_broken` is told when the disk has failed. `app.state.assembly` has `drain`.
    Raises StartupError.
    """
    assembly = Assembly(settings, clock, rules, on_broken)
    app = assembly.app()
    app.state.assembly = assembly
    return app


def serve(settings: Settings, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. `on_ready` gets the page's address, with the admin token in its fragment.

    Raises StartupError when it cannot start, StorageError when the disk failed while it ran.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with datadir.locked(settings.data_dir), listening_socket(settings.host, settings.port) as listener:
        settings = replace(settings, port=listener.getsockname()[1])
        token = settings.admin_token or datadir.admin_token(settings.data_dir)
        assembly = Assembly(settings, SYSTEM_CLOCK, None, lambda: server.fail())
        server = Server(assembly.app(), lambda: on_ready(f"{settings.url}/#t={token}"), assembly.drain)
        server.run(sockets=[listener])
    if server.has_failed:
        raise StorageError("The disk failed; the server has stopped.")


def _add_pages(app: FastAPI, pages: Pages) -> None:
    for path, handler in (
        ("/", pages.index),
        ("/assets/{name}", pages.asset),
        ("/plotly.min.js", pages.plotly),
        ("/api/docs", pages.docs),
    ):
        app.add_api_route(path, handler, methods=["GET", "HEAD"], include_in_schema=False, response_model=None)
