"""The subcommands of `lossguard`.

Rules of this file: parse, call, print. Every command that reads takes `--json`. Refusals end with exit code 1 and one
sentence; wrong usage with 2.
"""

import json
import os
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..settings import DEFAULT_HOST, DEFAULT_PORT, Settings, default_data_dir
from .client import Client, Refused, own_client

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback with local values would show tokens
    help="The live health monitor for PyTorch training.",
)
tokens = typer.Typer(no_args_is_help=True, help="Access tokens: make, list and revoke.")
app.add_typer(tokens, name="token")

DEMO_STEPS, DEMO_STAGE_STEPS = 10_000, 1_000  # at 30 to 50 steps/s the incident comes after about half a minute

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Data = Annotated[Path | None, typer.Option(help="The server's data folder.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its beginning, or its name (newest first).")]
Why = Annotated[str, typer.Option(help="Why; kept in the audit trail.")]


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = DEFAULT_HOST,
    port: Annotated[int, typer.Option(help="The port; 0 takes any free one.")] = DEFAULT_PORT,
    data: Data = None,
    db: Annotated[str | None, typer.Option(help="A database URL; SQLite in the data folder without it.")] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A further name[:port] by which this server may be called.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = False,
) -> None:
    """Start the server; it prints the page's address with the token."""
    from ..app import serve as run_server

    settings = Settings.from_environment(os.environ, host, port, data, db, tuple(allow_host or ()))

    def ready(url: str) -> None:
        print(f"lossguard serves {url}", flush=True)
        if browser:
            import webbrowser

            webbrowser.open(url)

    _guarded(lambda: run_server(settings, on_ready=ready))


@app.command()
def demo(
    scenario: Annotated[str, typer.Argument(help="The reference trainer.")] = "denovo",
    variant: Annotated[str | None, typer.Option(help="The scenario's variant.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps.")] = None,
    stage_steps: Annotated[int | None, typer.Option(min=1, help="Steps a stage (10,000 in the reports).")] = None,
    seed: Annotated[int, typer.Option(help="The seed of data and weights.")] = 0,
    headless: Annotated[bool, typer.Option("--headless", help="End with the trainer.")] = False,
    port: Annotated[int, typer.Option(help="The server's port; 0 takes any free one.")] = DEFAULT_PORT,
    data: Data = None,
) -> None:
    """Start a server and a reference trainer whose loss blows up."""
    from .demo import Demo

    folder = data or default_data_dir(os.environ) / "demo"
    if not headless:  # a person wants the time to look around before and after the incident
        steps, stage_steps = steps or DEMO_STEPS, stage_steps or DEMO_STAGE_STEPS
    options = {"--variant": variant, "--steps": steps, "--stage-steps": stage_steps, "--seed": seed}
    given = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    _guarded(lambda: Demo(folder, port, [scenario, *given], headless, Console()).run())


@app.command()
def runs(as_json: AsJson = False, data: Data = None) -> None:
    """List the runs, newest first."""
    items = _ask(data, lambda client: client.get("/api/runs")["items"])
    columns = ("id", "project", "name", "state", "step", "total", "health")
    _show(items, columns, as_json)


@app.command()
def alerts(run: RunName, as_json: AsJson = False, data: Data = None) -> None:
    """List a run's alerts, newest first."""
    items = _ask(data, lambda client: client.get(f"/api/runs/{client.run_id(run)}/alerts")["items"])
    _show(items, ("id", "severity", "state", "rule", "series", "step", "message"), as_json)


@app.command()
def pause(run: RunName, reason: Why = "", as_json: AsJson = False, data: Data = None) -> None:
    """Hold a run at its next step boundary."""
    _command(run, "pause", {}, reason, as_json, data)


@app.command()
def resume(run: RunName, reason: Why = "", as_json: AsJson = False, data: Data = None) -> None:
    """Let a paused run go on."""
    _command(run, "resume", {}, reason, as_json, data)


@app.command()
def stop(run: RunName, reason: Why = "", as_json: AsJson = False, data: Data = None) -> None:
    """End a run at its next step boundary."""
    _command(run, "stop", {}, reason, as_json, data)


@app.command()
def weight(
    run: RunName,
    component: Annotated[str, typer.Argument(help="The loss component.")],
    value: Annotated[float, typer.Argument(help="Its new weight.")],
    reason: Why = "",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Set the weight of a loss component from the next step on."""
    _command(run, "set_weight", {"component": component, "value": value}, reason, as_json, data)


@app.command()
def revert(
    command: Annotated[str, typer.Argument(help="The id of a weight command.")],
    reason: Why = "",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Put back what a weight command replaced."""
    run = _ask(data, lambda client: client.run_of_command(command))
    _command(run, "revert", {"command": command}, reason, as_json, data)


@app.command()
def rollback(
    run: RunName,
    before: Annotated[
        int | None, typer.Option(min=0, metavar="STEP", help="Not to the newest snapshot: to the newest before STEP.")
    ] = None,
    reason: Why = "",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Put a run back into its newest healthy snapshot; training goes on from there with new data."""
    _command(run, "rollback", {} if before is None else {"before_step": before}, reason, as_json, data)


@app.command()
def instrument(
    run: RunName,
    steps: Annotated[int, typer.Option(min=1, help="For how many steps; then back by itself.")],
    reason: Why = "",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Record a run in full detail for some steps."""
    _command(run, "instrument", {"steps": steps}, reason, as_json, data)


@app.command()
def sync(
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="The spool folder.")] = None, data: Data = None
) -> None:
    """Deliver the spools of trainers that ended before the server had everything."""
    from .sync import deliver_spools

    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    where = folder or Path(os.environ.get("LOSSGUARD_DIR") or Path(state) / "lossguard" / "spool")

    def deliver() -> None:
        client = own_client(data or default_data_dir(os.environ), os.environ)
        for line in deliver_spools(where, client.url, client.token):
            print(line)

    _guarded(deliver)


@tokens.command("create")
def token_create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[list[str], typer.Option(help="ingest, view, control or admin; may be given several times.")],
    data: Data = None,
) -> None:
    """Make a token; it is shown once."""
    made = _ask(data, lambda client: client.post("/api/tokens", {"name": name, "scopes": scope}))
    print(made["token"])


@tokens.command("list")
def token_list(as_json: AsJson = False, data: Data = None) -> None:
    """List the tokens, without their secrets."""
    _show(_ask(data, lambda client: client.get("/api/tokens")["items"]), ("id", "name", "scopes"), as_json)


@tokens.command("revoke")
def token_revoke(token_id: str, data: Data = None) -> None:
    """Make a token worthless."""
    _ask(data, lambda client: client.delete(f"/api/tokens/{token_id}"))


def _command(run: str, kind: str, args: dict[str, Any], reason: str, as_json: bool, data: Path | None) -> None:
    def send(client: Client) -> Any:
        body = {"kind": kind, "args": args, "idempotency_key": uuid.uuid4().hex, "reason": reason}
        return client.post(f"/api/runs/{client.run_id(run)}/commands", body)

    sent = _ask(data, send)
    if as_json:
        print(json.dumps(sent))
    else:
        print(f"{kind} is {sent['state']} as {sent['id']}")


def _ask(data: Path | None, question: Callable[[Client], Any]) -> Any:
    client = own_client(data or default_data_dir(os.environ), os.environ)
    try:
        return _guarded(lambda: question(client))
    finally:
        client.close()


def _guarded(action: Callable[[], Any]) -> Any:
    from ..errors import ServerError

    try:
        return action()
    except (Refused, ServerError) as refused:
        print(refused.message, file=sys.stderr)
        if refused.hint:
            print(refused.hint, file=sys.stderr)
        raise typer.Exit(1) from None


def _show(items: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        print(json.dumps(items))
        return
    table = Table(*columns)
    for item in items:
        table.add_row(*[_cell(item.get(column)) for column in columns])
    Console().print(table)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    # rich would take [brackets] in a run's name for markup
    return "" if value is None else str(value).replace("[", r"\[")
