"""How a plugin checks whom it talks to, and proves who it is: one vocabulary for all that speak TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import certifi
from pydantic import model_validator

from agent.plugin import ConfigPath, PluginConfig, SecretStr


class UnusableFile(Exception):
    """A file that the config names can't be used; the sentence says which, and why."""


class Tls(PluginConfig):
    ca: ConfigPath | None = None
    """A PEM file with the certificate authorities to trust. Left out: the system's own."""
    certificate: ConfigPath | None = None
    """A PEM file with this client's certificate, where the server asks for one."""
    key: ConfigPath | None = None
    """A PEM file with the certificate's private key. Left out: it is in ``certificate`` too."""
    key_password: SecretStr | None = None
    """The password of an encrypted private key."""
    insecure: bool = False
    """Don't check the server's certificate. Anybody on the network can then pose as the server and read along."""
    server_name: str | None = None
    """The name in the server's certificate, where it is not the name it is reached by."""

    @model_validator(mode="after")
    def _key_belongs_to_a_certificate(self) -> Self:
        if self.certificate is None and (self.key or self.key_password):
            raise ValueError("key and key_password need the certificate they belong to: add certificate")
        return self

    def context(self) -> Named:
        """Reads files, so call it in a thread. Raises UnusableFile."""
        context = Named(ssl.PROTOCOL_TLS_CLIENT)
        context.named = self.server_name
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif self.ca:
            with _reading("ca", self.ca):
                context.load_verify_locations(self.ca)
        else:
            context.load_default_certs()
            context.load_verify_locations(certifi.where())  # Python from python.org knows no authorities on a Mac
        if self.certificate:
            # Without a password OpenSSL would ask the terminal for one.
            password = self.key_password.get_secret_value() if self.key_password else ""
            with _reading("certificate", self.certificate, self.key):
                context.load_cert_chain(self.certificate, self.key, password)
        return context


class Heard(ssl.SSLSocket):
    """Remembers why the other side broke off: with TLS 1.3 it refuses a certificate only after the handshake, and a
    library may make no more of that than a lost connection."""

    alert: ssl.SSLError | None = None

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError):
            raise
        except ssl.SSLError as error:
            self.alert = error
            raise


class Named(ssl.SSLContext):
    """Asks for, and checks, a name of its own where one is given; remembers the last socket it has wrapped."""

    named: str | None = None
    last: Heard | None = None
    sslsocket_class = Heard

    def wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        name = self.named or server_hostname
        made = super().wrap_socket(sock, server_side, do_handshake_on_connect, suppress_ragged_eofs, name, session)
        assert isinstance(made, Heard)
        self.last = made
        return made

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return super().wrap_bio(incoming, outgoing, server_side, self.named or server_hostname, session)


@contextmanager
def _reading(option: str, *paths: Path | None) -> Iterator[None]:
    for path in paths:
        if path and not path.is_file():
            raise UnusableFile(f"tls.{option}: there is no file {path}.")
    try:
        yield
    except OSError as error:  # ssl.SSLError is one
        named = " and ".join(str(path) for path in paths if path)
        reason = error.strerror if not isinstance(error, ssl.SSLError) else error.reason or "not PEM"
        raise UnusableFile(f"tls.{option}: {named} can't be used: {reason}.") from None


def distrust(error: BaseException | None) -> str | None:
    """Why a TLS handshake failed, as a sentence that says what to do; None where it was something else."""
    while error and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".")
        return f"its certificate is not trusted ({reason}): check tls.ca, tls.server_name and the clock"
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "handshake failed").replace("_", " ").lower()
        return f"TLS failed ({reason}): check that the port speaks TLS, and tls.certificate where it asks for one"
    return None
