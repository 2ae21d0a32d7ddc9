"""The column of version 4: up to which message of a stream what the rules found is stored."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0004", "0003"


def upgrade() -> None:
    """Add it. Until now it was not told apart from how far the rules had come."""
    op.add_column("stream", sa.Column("found_seq", sa.Integer, nullable=False, server_default="0"))
    op.execute("UPDATE stream SET found_seq = judged_seq")
