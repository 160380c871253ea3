"""The store in a Postgres database, shared by any number of processes.

How the files lie, from the ground up (each imports only from those above it):

    sql, texts, columns          statements by name; keys, JSON and rows as records
    address, problems            the URL without its secrets; errors as sentences
    database                     connections, and patience when they break
    schema                       migrations
    batch, journal               writes: what fits into one batch, and committing batch after batch
    batch_loader                 reads: many questions of one turn as one query
    history, retention           the questions, and what is forgotten
    queue, heartbeat, listener   jobs, the node's lease, notifications
    cluster                      the port for several nodes
    diagnosis                    facts for the doctor
    store                        all of it as a `Store`
"""

from __future__ import annotations

from flowstone.store.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
