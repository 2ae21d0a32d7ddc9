"""The columns of version 5: what a command brought about, when it is too late for it, how many ranks applied it."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0005", "0004"


def upgrade() -> None:
    """Add them. Of commands that were given before, nothing of it is known."""
    for column in (
        sa.Column("effect", sa.Text),
        sa.Column("expires_s", sa.Float),
        sa.Column("ranks", sa.Integer),
    ):
        op.add_column("command", column)
