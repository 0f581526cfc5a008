"""A shop's PostgreSQL: a database on the local cloud's server, and a TLS proxy for it."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from psycopg import sql

PASSWORD = "a reader's p@ssword"
# A client's request for TLS (PostgreSQL's manual, "Message Formats": SSLRequest).
SSL_REQUEST = bytes.fromhex("0000000804d2162f")


@dataclass(frozen=True)
class ShopDatabase:
    """A database with a user that may only read it."""

    name: str
    server: str
    """URL of the server, as its owner."""

    @property
    def reader(self) -> str:
        """Returns the user's name."""
        return f"{self.name}_reader"

    @property
    def port(self) -> int:
        """Returns the server's port."""
        return urlsplit(self.server).port

    def owner(self) -> psycopg.Connection:
        """Connects as the owner and commits each statement."""
        return psycopg.connect(self.server, dbname=self.name, autocommit=True)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Runs a query as the owner and returns the rows."""
        with self.owner() as connection:
            return connection.execute(query).fetchall()

    def settings(self, **more: str) -> dict[str, str]:
        """Returns the connector's settings, without TLS, which the server lacks."""
        url = f"postgres://{self.reader}@127.0.0.1:{self.port}/{self.name}?sslmode=disable"
        return {"OLTP_URL": url, "OLTP_PASSWORD": PASSWORD, "OLTP_CURRENCY": "GBP", **more}


def create(server: str, name: str, tables: str) -> ShopDatabase:
    """Creates a database with `tables`; its reader may read the schema public."""
    database = ShopDatabase(name, server)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        create_user = sql.SQL("create user {} password {}")
        connection.execute(
            create_user.format(sql.Identifier(database.reader), sql.Literal(PASSWORD))
        )
    with database.owner() as connection:
        connection.execute(tables)
        connection.execute(
            sql.SQL("grant select on all tables in schema public to {}").format(
                sql.Identifier(database.reader)
            )
        )
    return database


def certificate(folder: Path, host: str) -> tuple[Path, str]:
    """Makes a self-signed certificate for an address. Returns the file with certificate and key,
    and the certificate as text, both PEM.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a database's authority")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "server.pem"
    file.write_bytes(secret + pem)
    return file, pem.decode()


@contextmanager
def tls_front(database: ShopDatabase, certificate_and_key: Path) -> Iterator[int]:
    """Proxies PostgreSQL's clients with TLS to the server, which was built without it. Yields the
    port.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate_and_key)
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(len(SSL_REQUEST)) != SSL_REQUEST:
            writer.close()
            return
        writer.write(b"S")
        await writer.drain()
        await writer.start_tls(context)
        behind, to_server = await asyncio.open_connection("127.0.0.1", database.port)
        await asyncio.gather(_pipe(reader, to_server), _pipe(behind, writer))

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.run_until_complete(_end_connections())
        loop.close()


async def _end_connections() -> None:
    connections = asyncio.all_tasks() - {asyncio.current_task()}
    for connection in connections:
        connection.cancel()
    await asyncio.gather(*connections, return_exceptions=True)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
