"""The tables of version 3: incidents, what the rules know, settings, notifications; verdicts and silences of alerts."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0003", "0002"


def upgrade() -> None:
    """Add them. Alerts of before bear their rule in their body, and now in a column as well."""
    op.add_column("alert", sa.Column("rule", sa.String, nullable=False, server_default=""))
    op.add_column("alert", sa.Column("verdict", sa.String))
    op.add_column("alert", sa.Column("silenced_until_s", sa.Float))
    op.execute("UPDATE alert SET rule = json_extract(body, '$.rule')")
    op.create_table(
        "incident",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("run_id", sa.String, sa.ForeignKey("run.id"), nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("ix_incident_run_id", "incident", ["run_id"])
    op.create_table(
        "rules_state",
        sa.Column("run_id", sa.String, sa.ForeignKey("run.id"), primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "setting",
        sa.Column("scope", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "channel",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_s", sa.Float, nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("channel_id", sa.String, nullable=False),
        sa.Column("run_id", sa.String, sa.ForeignKey("run.id")),
        sa.Column("incident", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("created_s", sa.Float, nullable=False),
        sa.Column("owed_s", sa.Float, nullable=False),
        sa.Column("due_s", sa.Float, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("said", sa.String),
    )
    for column in ("channel_id", "run_id", "state"):
        op.create_index(f"ix_outbox_{column}", "outbox", [column])
