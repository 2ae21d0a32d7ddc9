"""What is on disk: tables, the one writer, read-only readers, and one module of queries per aggregate."""
