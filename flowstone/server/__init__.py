"""The HTTP API and the web pages of a runtime: the extra `server`.

How the files lie; each imports only from those above it:

    options.py      what a server is told when it is made
    access/         who asks and what they may do; what a request must not bring
    problems.py     errors as `application/problem+json`
    api/            `/api/v1`: one file for each kind of thing, and what they share
    render.py       from a template and values to HTML
    pages/          one file for each page: what it shows, read from the runtime
    links.py        addresses of pages and files, wherever it is mounted
    trouble.py      errors as pages, for browsers
    finder.py       find or do: what the search of every page looks through
    live.py         the stream that keeps an open page as it would be if it were loaded again
    login.py        from a token to the session of a browser
    app.py          all of it as one ASGI application
"""

from __future__ import annotations

from flowstone.server.app import create_app
from flowstone.server.options import ServerOptions

__all__ = ["ServerOptions", "create_app"]
