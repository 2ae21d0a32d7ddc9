"""The tables of version 2: points folded out of the journal into chunks, with a pyramid of summaries over them."""

import sqlalchemy as sa
from alembic import op

from lossguard_server.store.upkeep.first_total import first_total

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    """Add them; what is in the journal is folded later, by the server, a piece at a time."""
    # with a default, because a column that is added must have one; a new table in its place would copy every row
    op.add_column("stream", sa.Column("folded_seq", sa.Integer, nullable=False, server_default="0"))
    op.add_column("stream", sa.Column("begins_step", sa.Integer))
    op.create_table(
        "part",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("stream_id", sa.Integer, sa.ForeignKey("stream.id"), nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("first_seq", sa.Integer, nullable=False),
        sa.Column("first_step", sa.Integer, nullable=False),
        sa.Column("last_step", sa.Integer, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
    )
    op.create_index("part_by_name", "part", ["stream_id", "name"])
    op.create_table(
        "chunk",
        sa.Column("part_id", sa.Integer, sa.ForeignKey("part.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("first_step", sa.Integer, nullable=False),
        sa.Column("last_step", sa.Integer, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "summary",
        sa.Column("part_id", sa.Integer, sa.ForeignKey("part.id"), primary_key=True),
        sa.Column("level", sa.Integer, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    _backfill_beginnings()


def _backfill_beginnings() -> None:
    """What older attempts have behind the first total of a newer one is an older branch, in old databases too."""
    connection = op.get_bind()
    asked = "SELECT payload FROM journal WHERE stream_id = :id AND kind IN ('schema', 'frame') ORDER BY seq"
    for (stream_id,) in connection.execute(sa.text("SELECT id FROM stream")).all():
        with connection.execute(sa.text(asked), {"id": stream_id}) as rows:
            step = first_total(row[0] for row in rows)
        set_ = sa.text("UPDATE stream SET begins_step = :step WHERE id = :id")
        connection.execute(set_, {"step": step, "id": stream_id})
