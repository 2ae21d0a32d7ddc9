"""The subcommands of `lossguard`.

Rules of this file: parse, call, print. Every command that reads takes `--json`. Refusals end with exit code 1 and one
sentence; wrong usage with 2.
"""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..settings import DEFAULT_HOST, DEFAULT_PORT, Settings, default_data_dir
from . import backtest, compare, notifications, policies, preflight, rules, schedules, shelf, steering, transfers
from .client import address
from .console import AsJson, Data, ask, guarded, show

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback with local values would show tokens
    help="The live health monitor for PyTorch training.",
)
tokens = typer.Typer(no_args_is_help=True, help="Access tokens: make, list and revoke.")
app.add_typer(tokens, name="token")
app.add_typer(notifications.app, name="notify")

DEMO_STEPS, DEMO_STAGE_STEPS = 10_000, 1_000  # at 30 to 50 steps/s the incident comes after about half a minute

# the names only: the scenarios are the trainer's package, which the server's does not import
SCENARIOS = {
    "denovo": ("log1p_x100", "log1p", "l1"),
    "ris": ("unnormalised", "fixed"),
    "tabular": ("unmasked", "empty_mask", "bert", "progressive"),
    "planets": ("autoregressive",),
}
VARIANTS = "; ".join(f"{name}: {', '.join(variants)}" for name, variants in SCENARIOS.items())


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = DEFAULT_HOST,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes any free one.")] = DEFAULT_PORT,
    data: Data = None,
    db: Annotated[str | None, typer.Option(help="A database URL; SQLite in the data folder without it.")] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A further name[:port] by which this server may be called.")
    ] = None,
    keep_days: Annotated[
        float | None, typer.Option(metavar="N", help="Delete runs that were not heard of for N days; without it, none.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The configuration; lossguard.toml in the data folder without it."),
    ] = None,
    public_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where people find the page, for links in notifications.")
    ] = None,
    notify_allow: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="A host in a private network that notifications may go to."),
    ] = None,
    keep_deleted: Annotated[
        float | None,
        typer.Option(metavar="HOURS", help="How long a run that was deleted can be restored; 24 without it."),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = False,
) -> None:
    """Start the server; it prints the page's address with the token."""
    from ..app import serve as run_server

    hosts, notified = tuple(allow_host or ()), tuple(notify_allow or ())
    settings = guarded(
        lambda: Settings.from_environment(
            os.environ, host, port, data, db, hosts, keep_days, config, public_url, notified, keep_deleted
        )
    )

    def ready(url: str) -> None:
        print(f"lossguard serves {url}", flush=True)
        if browser:
            import webbrowser

            webbrowser.open(url)

    guarded(lambda: run_server(settings, on_ready=ready))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def demo(
    context: typer.Context,
    scenario: Annotated[str, typer.Argument(help=f"The reference trainer: {', '.join(SCENARIOS)}.")] = "denovo",
    variant: Annotated[str | None, typer.Option(help=f"The first without it. {VARIANTS}.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps.")] = None,
    stage_steps: Annotated[int | None, typer.Option(min=1, help="Steps a stage (10,000 in the reports).")] = None,
    seed: Annotated[int, typer.Option(help="The seed of data and weights.")] = 0,
    headless: Annotated[bool, typer.Option("--headless", help="End with the trainer.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The server's port; 0: any free one.")] = DEFAULT_PORT,
    data: Data = None,
) -> None:
    """Start a server and a reference trainer whose loss blows up; options that are not listed go to the trainer."""
    from .demo import Demo

    folder = data or default_data_dir(os.environ) / "demo"
    if not headless:  # a person wants the time to look around before and after the incident
        steps, stage_steps = steps or DEMO_STEPS, stage_steps or DEMO_STAGE_STEPS
    options = {"--variant": variant, "--steps": steps, "--stage-steps": stage_steps, "--seed": seed}
    given = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    guarded(lambda: Demo(folder, port, [scenario, *given, *context.args], headless, Console()).run())


@app.command()
def doctor(
    data: Data = None,
    as_json: AsJson = False,
    full: Annotated[bool, typer.Option("--full", help="Read everything, not only what is quick to check.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended.")] = False,
) -> None:
    """Look at a server's data: integrity, sizes, gaps."""
    from ..doctor import doctor_command

    raise typer.Exit(guarded(lambda: doctor_command(data, as_json, full, repair)))


@tokens.command("create")
def token_create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[list[str], typer.Option(help="ingest, view, control or admin; may be given several times.")],
    data: Data = None,
) -> None:
    """Make a token; it is shown once."""
    made = ask(data, lambda client: client.post("/api/tokens", {"name": name, "scopes": scope}))
    print(made["token"])


@tokens.command("list")
def token_list(as_json: AsJson = False, data: Data = None) -> None:
    """List the tokens, without their secrets."""
    show(ask(data, lambda client: client.get("/api/tokens")["items"]), ("id", "name", "scopes"), as_json)


@tokens.command("revoke")
def token_revoke(token_id: str, data: Data = None) -> None:
    """Make a token worthless."""
    ask(data, lambda client: client.delete(address("tokens", token_id)))


shelf.add_to(app)
rules.add_to(app)
policies.add_to(app)
backtest.add_to(app)
compare.add_to(app)
preflight.add_to(app)
steering.add_to(app)
schedules.add_to(app)
transfers.add_to(app)
