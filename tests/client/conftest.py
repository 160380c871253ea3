"""Servers on sockets, and clients that ask them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn

from flowstone import Pipeline, Runtime
from flowstone.client import Client
from flowstone.server import ServerOptions, create_app
from tests.server.api.shops import shop


@dataclass
class Served:
    """A runtime, its server and a client of it.

    Attributes:
        url: Where it is.
        port: Its port on the loopback.
    """

    runtime: Runtime
    client: Client
    url: str
    port: int


@contextlib.asynccontextmanager
async def listening(app: Any, **options: Any) -> AsyncIterator[int]:
    """An application on a free port of the loopback; gives the port."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=1,
        **options,
    )
    server = uvicorn.Server(config)
    task = asyncio.get_running_loop().create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0)
        if task.done():
            task.result()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


@contextlib.asynccontextmanager
async def serving(
    pipeline: Pipeline | None = None,
    *,
    store: str = "memory://",
    options: ServerOptions | None = None,
    token: str | None = None,
    wrap: Any = None,
    client: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Served]:
    """A runtime behind a real server, and a client that is open."""
    async with Runtime(pipeline or shop(), store=store, **settings) as runtime:
        app: Any = create_app(runtime, options)
        async with listening(app if wrap is None else wrap(app)) as port:
            url = f"http://127.0.0.1:{port}"
            async with Client(url, token, **(client or {})) as asking:
                yield Served(runtime, asking, url, port)


@pytest.fixture
def serve():
    """See `serving`."""
    return serving


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> tuple[str, str]:
    """A certificate of 127.0.0.1 that signs itself, and its key: the names of their files."""
    import ipaddress
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    folder = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "certificate.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(pem), str(secret)


@pytest.fixture
def trusting(certificate) -> ssl.SSLContext:
    """Trusts that certificate and no other."""
    return ssl.create_default_context(cafile=certificate[0])
