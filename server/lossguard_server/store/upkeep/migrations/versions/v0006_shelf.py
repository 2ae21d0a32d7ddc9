"""The columns of version 6: what people say of a run, and whether they put it away or deleted it for now."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0006", "0005"


def upgrade() -> None:
    """Add them. Of runs from before nobody said anything."""
    for column in (
        sa.Column("label", sa.String, nullable=False, server_default=""),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
        sa.Column("tags", sa.Text, nullable=False, server_default="[]"),
        sa.Column("archived_s", sa.Float),
        sa.Column("deleted_s", sa.Float),
    ):
        op.add_column("run", column)
