"""What alembic runs: the steps, in the transaction of whoever asked for them.

Rules of this file: no ini file and no URL; the connection comes from `upgrade` of this package. alembic executes this
file, nothing imports it.
"""

from alembic import context

# SQLite's DDL is transactional as soon as the driver does not commit by itself, and ours does not (store/database.py)
context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
