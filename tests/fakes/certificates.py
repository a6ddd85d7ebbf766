"""A small certificate authority, made with the openssl command."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_EXPIRED = "-days -1"


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path


class Authority:
    """Its own certificate is ``ca``; ``pair`` makes a signed one for a host name or address, or for a client."""

    def __init__(self, folder: Path, name: str = "camscribe test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.ca, self._key = folder / "ca.pem", folder / "ca.key"
        self._openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30",
            *("-subj", f"/CN={name}", "-keyout", self._key, "-out", self.ca),
        )

    def pair(self, name: str, names: str, *, expired: bool = False) -> Pair:
        """``names`` in openssl's words: ``DNS:localhost,IP:127.0.0.1``. ``expired``: it was good until yesterday."""
        made = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request, extra = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extra.write_text(f"subjectAltName={names}\n")
        self._openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes",
            *("-subj", f"/CN={name}", "-keyout", made.key, "-out", request),
        )
        self._openssl(
            f"x509 -req -CAcreateserial {_EXPIRED if expired else '-days 30'}",
            *("-in", request, "-CA", self.ca, "-CAkey", self._key, "-extfile", extra, "-out", made.certificate),
        )
        return made

    def encrypted(self, pair: Pair, password: str) -> Path:
        """The pair's key again, behind a password."""
        path = pair.key.with_suffix(".encrypted.key")
        self._openssl("pkey -aes256", "-in", pair.key, "-passout", f"pass:{password}", "-out", path)
        return path

    @staticmethod
    def _openssl(words: str, *arguments: str | Path) -> None:
        subprocess.run(["openssl", *words.split(), *map(str, arguments)], check=True, capture_output=True, timeout=60)
