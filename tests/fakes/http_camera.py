"""A fake HTTP camera: a real server in a process of its own, with a fault for every occasion.

Numbered pictures are shown in a loop on CLOCK_MONOTONIC: what is on now follows from the time alone.

    async with http_camera() as camera:
        camera.url("/snapshot.jpg")                    # http://127.0.0.1:40123/snapshot.jpg
        camera.url("/stream.mjpeg", fault="freeze", after=1)
        camera.age(read_number(pixels))

What a request's query asks for (``times=N``: only the first N requests with this very query):

    fault=status&code=503&retry=30     that status, with Retry-After
    fault=mute | garbage | close | reset   no answer | no HTTP | FIN | RST instead of one
    fault=loris&at=head | body         a byte a second
    fault=endless                      a picture that never ends, as fast as it is read
    fault=gzip | pixels | whitepixels  a compressed bomb | a picture that claims to be huge | one that is large
    fault=short | cut                  closes before the announced length | in the middle of a picture without one
    fault=html | text | json | empty | junk   what is no picture, called image/jpeg
    fault=redirect&to=… | loop         elsewhere | to itself for ever
    fault=redirect&count=N             N times, each time elsewhere, and then the picture
    type=…, framing=length | close | chunked, http=1.0     how the answer is written (type= leaves it out)
    cached=S&said=modified | age | nothing   the picture of S seconds ago, and what the headers say of it
    said=stuck                         Last-Modified is always the same, though the pictures aren't
    behind=1&stamp=1                   the picture taken at the last request; X-Timestamp tells
    same=N                             always picture N
    idle=close | second=close          the connection ends after an answer | at its second request, unsaid

and a stream's, beside these:

    kept=N&late=S begins with N old pictures, after S seconds      fps=F  its own rate
    delimiter=…   as written, declared=… as said    lengths=no | lie | huge, newline=lf
    fault=freeze | end | half  after=S              fault=headless | hugehead | hugepart | torn, once=1
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import io
import json
import os
import secrets
import signal
import socket
import ssl
import struct
import sys
import tempfile
import time
import zlib
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from email.utils import formatdate
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from PIL import Image

from tests.fakes import clips
from tests.fakes.certificates import Pair

ROOT = Path(__file__).resolve().parents[2]
REALM = "fake camera"
STUCK = "Thu, 01 Jan 2015 00:00:00 GMT"


@dataclass(frozen=True)
class Settings:
    numbers: int
    size: tuple[int, int]
    fps: float
    epoch: float
    user: str | None
    passwords: Mapping[str, str | None]
    """Path → its password or token; None: free."""
    auth: str
    """basic, digest, digest-sha256, digest-old (RFC 2069), both, bearer, silent (401 without a challenge)."""
    nonce_uses: int
    viewers: int


def make_pictures(settings: Settings) -> list[bytes]:
    made = []
    for picture in clips.numbered(settings.numbers, settings.size):
        jpeg = io.BytesIO()
        picture.save(jpeg, "JPEG", quality=85)
        made.append(jpeg.getvalue())
    return made


class Server:
    def __init__(self, settings: Settings, pictures: list[bytes]) -> None:
        self.settings = settings
        self.pictures = pictures
        self.asked: Counter[str] = Counter()
        self.nonces: Counter[str] = Counter()
        self.connections = 0
        self.watching = 0
        self.last_taken: dict[str, int] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        session = Session(self, self.connections, reader, writer)
        try:
            await session.run()
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the client went away, or a fault closed the line
        finally:
            writer.close()

    def event(self, **what: Any) -> None:
        print(json.dumps(what), flush=True)

    def now(self) -> int:
        """The number of the picture that is on."""
        return int((time.monotonic() - self.settings.epoch) * self.settings.fps)

    def picture(self, number: int) -> bytes:
        return self.pictures[number % len(self.pictures)]


class Session:
    """One connection."""

    def __init__(
        self, server: Server, connection: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server, self.connection, self.reader, self.writer = server, connection, reader, writer
        self.query: dict[str, str] = {}
        self.path = ""
        self.headers: dict[str, str] = {}

    def fault(self, *names: str) -> bool:
        return self.query.get("fault") in names

    def number(self, name: str, default: float) -> float:
        return float(self.query.get(name, default))

    async def run(self) -> None:
        again, count = True, 0
        while again:
            first = await self.reader.readexactly(1)
            if first == b"\x16":  # a client that speaks TLS
                self.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                return
            head = (first + await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            request, *lines = head.strip().split("\r\n")
            method, target, _ = request.split()
            self.headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
            split = urlsplit(target)
            self.path, self.query = split.path, dict(parse_qsl(split.query, keep_blank_values=True))
            self.server.asked[target] += 1
            if self.server.asked[target] > self.number("times", 1e9):
                self.query.pop("fault", None)
            self.server.event(
                event="request", path=target, headers=self.headers, connection=self.connection, at=time.monotonic()
            )
            count += 1
            if count > 1 and self.query.get("second") == "close":
                return
            again = await self.answer(method, target)

    async def answer(self, method: str, target: str) -> bool:
        """False: the connection is over."""
        if not self.may_enter(method, target):
            challenges = self.challenges()
            self.server.event(event="refused", path=target, tried=self.headers.get("authorization", "").split(" ")[0])
            return await self.send(401, b"who are you", {"Content-Type": "text/plain"}, challenges)
        if self.path not in self.server.settings.passwords:
            return await self.send(404, b"nothing here", {"Content-Type": "text/plain"})
        if self.fault("mute", "garbage", "close", "reset"):
            return await self.no_answer()
        if self.fault("status", "redirect", "loop") and self.query.get("count") != "0":
            return await self.refuse(target)
        if self.path.endswith(".mjpeg"):
            return await self.stream()
        return await self.snapshot()

    # Letting in

    def may_enter(self, method: str, target: str) -> bool:
        secret = self.server.settings.passwords.get(self.path)
        if secret is None:
            return True
        kind, _, rest = self.headers.get("authorization", "").partition(" ")
        auth = self.auth
        if auth == "bearer":
            return kind == "Bearer" and rest == secret
        if kind == "Basic" and auth in ("basic", "both", "silent"):
            return b64decode(rest).decode() == f"{self.server.settings.user}:{secret}"
        if (kind == "Digest" and auth.startswith("digest")) or (kind == "Digest" and auth == "both"):
            return self._digest(method, target, rest, secret)
        return False

    @property
    def auth(self) -> str:
        return self.query.get("auth", self.server.settings.auth)

    def _digest(self, method: str, target: str, rest: str, secret: str) -> bool:
        fields = {key.strip(): value.strip('" ') for key, _, value in (part.partition("=") for part in rest.split(","))}
        nonce = fields.get("nonce", "")
        uses = self.server.nonces
        if nonce not in uses or fields.get("uri") != target:
            return False
        uses[nonce] += 1
        if uses[nonce] > self.server.settings.nonce_uses:
            return False
        make = _sha256 if self.auth == "digest-sha256" else _md5
        one, two = make(f"{self.server.settings.user}:{REALM}:{secret}"), make(f"{method}:{target}")
        if self.auth == "digest-old":
            return fields.get("response") == make(f"{one}:{nonce}:{two}")
        if int(fields.get("nc", "0"), 16) != uses[nonce] or fields.get("qop") != "auth":
            return False
        return fields.get("response") == make(f"{one}:{nonce}:{fields['nc']}:{fields['cnonce']}:auth:{two}")

    def challenges(self) -> list[str]:
        nonce = secrets.token_hex(8)
        self.server.nonces[nonce] = 0
        digest = f'Digest realm="{REALM}", qop="auth,auth-int", nonce="{nonce}", opaque=""'
        basic = f'Basic realm="{REALM}"'
        return {
            "basic": [basic],
            "both": [basic, digest],
            "digest": [digest],
            "digest-sha256": [f"{digest}, algorithm=SHA-256"],
            "digest-old": [f'digest Realm="{REALM}",Nonce="{nonce}"'],
            "odd": ["Negotiate", f'Digest realm="{REALM}", nonce="{nonce}", algorithm=SHA-512-256'],
        }.get(self.auth, [])

    # Answers

    async def no_answer(self) -> bool:
        if self.fault("mute"):
            await asyncio.Event().wait()
        if self.fault("garbage"):
            self.writer.write(b"\x00\xff SSH-2.0-nonsense\r\n\r\n" * 20)
            await self.writer.drain()
        if self.fault("reset"):
            self.writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            self.writer.transport.abort()
        return False

    async def refuse(self, target: str) -> bool:
        if "count" in self.query:
            fewer = {**self.query, "count": str(int(self.query["count"]) - 1)}
            return await self.send(302, b"", {"Location": f"{self.path}?{urlencode(fewer)}"})
        if not self.fault("status"):
            return await self.send(302, b"", {"Location": self.query.get("to", target)})
        retry = {"Retry-After": self.query["retry"]} if "retry" in self.query else {}
        code = int(self.query["code"])
        return await self.send(code, b"" if code in (204, 304) else b"no", retry)

    async def send(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None, challenges: list[str] | None = None
    ) -> bool:
        framing, http = self.query.get("framing", "length"), self.query.get("http", "1.1")
        lines = [f"HTTP/{http} {status} Whatever", f"Date: {formatdate(usegmt=True)}", "Set-Cookie: session=c00kie"]
        lines += [f"{key}: {value}" for key, value in (headers or {}).items()]
        lines += [f"WWW-Authenticate: {challenge}" for challenge in challenges or []]
        if framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
            body = (
                b"".join(
                    b"%x\r\n%s\r\n" % (len(body[at : at + 5000]), body[at : at + 5000])
                    for at in range(0, len(body), 5000)
                )
                + b"0\r\n\r\n"
            )
        elif framing == "length" and status not in (204, 304):
            lines.append(f"Content-Length: {int(self.query.get('announced', len(body)))}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        if self.fault("loris"):
            return await self.drip(head, body)
        self.writer.write(head + body)
        await self.writer.drain()
        # ``idle=close``: gone after the answer, although nothing was said of it
        return framing != "close" and http != "1.0" and self.query.get("idle") != "close"

    async def drip(self, head: bytes, body: bytes) -> bool:
        slow, fast = (body, head) if self.query.get("at") == "body" else (head + body, b"")
        self.writer.write(fast)
        for byte in slow:
            self.writer.write(bytes([byte]))
            await self.writer.drain()
            await asyncio.sleep(self.number("pause", 1))
        return False

    def type(self, usual: str) -> dict[str, str]:
        kind = self.query.get("type", usual)
        return {"Content-Type": kind} if kind else {}

    async def snapshot(self) -> bool:
        headers = self.type("image/jpeg")
        if self.fault("endless"):
            return await self.endless(headers)
        if (fault := self.query.get("fault")) in NO_PICTURES:
            more = {"Content-Encoding": "gzip"} if fault == "gzip" else {}
            return await self.send(200, NO_PICTURES[fault](), {**headers, **more})
        number, more = self.chosen()
        picture = self.server.picture(number)
        if self.fault("short"):
            self.query["announced"] = str(len(picture))
        if self.fault("short", "cut"):
            if self.fault("cut"):
                self.query["framing"] = "close"
            await self.send(200, picture[: len(picture) // 2], {**headers, **more})
            return False
        return await self.send(200, picture, {**headers, **more})

    def chosen(self) -> tuple[int, dict[str, str]]:
        """The picture's number, and what the headers say of its age."""
        now = self.server.now()
        if "same" in self.query:
            return int(self.query["same"]), {}
        if "behind" in self.query:
            number = self.server.last_taken.get(self.path, 0)
            self.server.last_taken[self.path] = now
            stamp = number / self.server.settings.fps + 1000
            return number, {"X-Timestamp": f"{stamp:.6f}"} if "stamp" in self.query else {}
        cached, said = self.number("cached", 0), self.query.get("said")
        number = now - round(cached * self.server.settings.fps)
        clock = time.time()
        if said == "modified":
            return number, {"Last-Modified": formatdate(clock - cached, usegmt=True)}
        if said == "stuck":
            return number, {"Last-Modified": STUCK, "ETag": '"0"'}
        return number, {"Age": f"{cached:.0f}"} if said == "age" else {}

    async def endless(self, headers: Mapping[str, str]) -> bool:
        lines = ["HTTP/1.1 200 OK", *(f"{key}: {value}" for key, value in headers.items()), "Connection: close"]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + self.server.picture(0)[:2000])
        sent = 0
        while True:
            self.writer.write(bytes(65536))
            sent += 65536
            await self.writer.drain()
            if sent % (1 << 20) == 0:
                self.server.event(event="sent", bytes=sent)

    # Streams

    async def stream(self) -> bool:
        if self.server.watching >= self.server.settings.viewers:
            return await self.send(503, b"busy", {"Retry-After": "0"})
        self.server.watching += 1
        self.server.event(event="watching", viewers=self.server.watching)
        try:
            await self._stream()
        finally:
            self.server.watching -= 1
            self.server.event(event="gone", viewers=self.server.watching)
        return False

    async def _stream(self) -> None:
        delimiter = self.query.get("delimiter", "--frame")
        declared = self.query.get("declared", delimiter.removeprefix("--"))
        kind = self.type(f"multipart/x-mixed-replace;boundary={declared}")
        lines = ["HTTP/1.0 200 OK", *(f"{key}: {value}" for key, value in kind.items())]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        began, server = time.monotonic(), self.server
        await self.writer.drain()
        await asyncio.sleep(self.number("late", 0))
        for back in range(int(self.number("kept", 0)), 0, -1):
            self.part(delimiter, server.now() - int(server.settings.fps * (10 + back)))
        number, fps = server.now(), self.number("fps", server.settings.fps)
        while not self.writer.is_closing():
            if time.monotonic() - began >= self.number("after", 1e9) and await self.breaks(delimiter):
                return
            self.part(delimiter, int(self.query.get("same", number)))
            if "once" in self.query:
                self.writer.write(f"\r\n{delimiter}--\r\n".encode())
                return
            await self.writer.drain()
            await asyncio.sleep(1 / fps)
            number = server.now()

    def part(self, delimiter: str, number: int) -> None:
        picture = self.server.picture(number)
        end = "\n" if self.query.get("newline") == "lf" else "\r\n"
        head = [delimiter, "Content-Type: image/jpeg"]
        lengths = self.query.get("lengths", "yes")
        length = {"yes": len(picture), "lie": len(picture) // 2, "huge": 10**11}.get(lengths)
        head += [f"Content-Length: {length}"] if length is not None else []
        if self.fault("hugehead"):
            head += [f"X-{index}: {'x' * 1000}" for index in range(1000)]
        if self.fault("torn"):
            picture = picture[: len(picture) // 2]
        if self.fault("headless"):
            delimiter, head = "", []
        tail = "" if self.query.get("newline") == "none" else end
        self.writer.write((end.join(head) + end + end).encode() + picture + tail.encode())
        if self.fault("hugepart"):
            self.writer.write(bytes(30_000_000))

    async def breaks(self, delimiter: str) -> bool:
        if self.fault("freeze"):
            await self.reader.read(1)  # until the client goes
        if self.fault("half"):
            picture = self.server.picture(0)
            head = f"{delimiter}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            self.writer.write(head.encode() + picture[: len(picture) // 2])
            await self.writer.drain()
        return self.fault("freeze", "half", "end")


@cache
def _gzip_bomb() -> bytes:
    return gzip.compress(bytes(50_000_000), 1)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _pixel_bomb(edge: int) -> bytes:
    header = struct.pack(">IIBBBBB", edge, edge, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(bytes(1_000_000)))


@cache
def _white_png() -> bytes:
    """Just under the limit on pixels, and only some kilobytes."""
    made = io.BytesIO()
    Image.new("RGB", (7000, 7000), "white").save(made, "PNG", compress_level=1)
    return made.getvalue()


NO_PICTURES: dict[str, Callable[[], bytes]] = {
    "gzip": _gzip_bomb,
    "pixels": lambda: _pixel_bomb(60_000),
    "whitepixels": _white_png,
    "html": lambda: b"\r\n<!DOCTYPE html><html>Please log in</html>",
    "text": lambda: b"OK: nothing to see here, move along",
    "json": lambda: b'[{"cmd":"Snap","code":1,"error":{"detail":"please login first","rspCode":-6}}]',
    "empty": lambda: b"",
    "junk": lambda: bytes(range(1, 256)) * 40,
}


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def _serve(settings: Settings, pictures: list[bytes], host: str, port: int, pair: Pair | None) -> None:
    camera = Server(settings, pictures)
    tls = None
    if pair:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(pair.certificate, pair.key)
    server = await asyncio.start_server(camera.serve, host, port, backlog=200, ssl=tls)
    camera.event(port=server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--numbers", type=int, default=200, help="how many numbered pictures make the loop")
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--pictures", type=Path, help="a folder of JPEGs to show instead of numbered pictures")
    parser.add_argument("--fps", type=float, default=10)
    parser.add_argument("--epoch", type=float, help="CLOCK_MONOTONIC at which picture 0 is on; default now")
    parser.add_argument("--user")
    parser.add_argument("--passwords", type=Path, help="a JSON file: path → password or token, or null")
    parser.add_argument("--auth", default="digest")
    parser.add_argument("--nonce-uses", type=int, default=1_000_000)
    parser.add_argument("--viewers", type=int, default=100)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    args = parser.parse_args()
    width, height = args.size.split("x")
    settings = Settings(
        numbers=args.numbers,
        size=(int(width), int(height)),
        fps=args.fps,
        epoch=time.monotonic() if args.epoch is None else args.epoch,
        user=args.user,
        passwords=json.loads(args.passwords.read_text()) if args.passwords else dict.fromkeys(FREE),
        auth=args.auth,
        nonce_uses=args.nonce_uses,
        viewers=args.viewers,
    )
    pair = Pair(args.certificate, args.key) if args.certificate else None
    own = [path.read_bytes() for path in sorted(args.pictures.iterdir())] if args.pictures else None
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(settings, own or make_pictures(settings), args.host, args.port, pair))


FREE = ("/snapshot.jpg", "/stream.mjpeg")


class HttpCamera:
    """A camera as a test sees it: its addresses, its process, and what it was asked for."""

    def __init__(self, command: list[str], *, epoch: float, fps: float, loop_seconds: float, scheme: str) -> None:
        self.epoch, self.fps, self.loop_seconds, self.scheme = epoch, fps, loop_seconds, scheme
        self.host = "127.0.0.1"
        self.port = 0
        self.user: str | None = None
        self.password: str | None = None
        self.events: list[dict[str, Any]] = []
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None

    def url(self, path: str = "/snapshot.jpg", **query: object) -> str:
        """With the credentials in it, where it has any. The query names the faults."""
        login = ""
        if self.user is not None:
            login = f"{quote(self.user, safe='')}:{quote(self.password or '', safe='')}@"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{login}{host}:{self.port}{path}{'?' + urlencode(query) if query else ''}"

    def stream(self, **query: object) -> str:
        return self.url("/stream.mjpeg", **query)

    def age(self, number: int) -> float:
        """Seconds since numbered picture ``number`` was last on (the loop must be longer than that)."""
        return (time.monotonic() - self.epoch - number / self.fps) % self.loop_seconds

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("event") == "request"]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def restart(self) -> None:
        """Start it again on the same port, in the same loop."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            f"--port={self.port}",
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stdin=asyncio.subprocess.DEVNULL,
            limit=1 << 20,
        )
        assert self._process.stdout is not None
        ready = await asyncio.wait_for(self._process.stdout.readline(), 60)
        if not ready:
            raise RuntimeError(f"the camera's server ended with status {await self._process.wait()}")
        self.port = json.loads(ready)["port"]
        self._listener = asyncio.create_task(self._listen(self._process.stdout))

    async def _listen(self, stdout: asyncio.StreamReader) -> None:
        while line := await stdout.readline():
            self.events.append(json.loads(line))

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        if self._listener:
            await self._listener

    def freeze(self) -> None:
        """SIGSTOP: the kernel still accepts connections for it, and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


@asynccontextmanager
async def http_camera(
    *,
    fps: float = 10,
    numbers: int = 200,
    size: tuple[int, int] = (320, 240),
    host: str = "127.0.0.1",
    user: str | None = None,
    password: str | None = None,
    passwords: Mapping[str, str | None] | None = None,
    auth: str = "digest",
    nonce_uses: int = 1_000_000,
    viewers: int = 100,
    tls: Pair | None = None,
    pictures: Path | None = None,
) -> AsyncIterator[HttpCamera]:
    """A running fake camera; ``passwords`` names its paths with a password or token each.

    ``pictures``: a folder of JPEGs that are shown instead of numbered ones.
    """
    with tempfile.TemporaryDirectory(prefix="http-camera-") as folder:
        epoch = time.monotonic()
        arguments = [f"--fps={fps}", f"--numbers={numbers}", f"--size={size[0]}x{size[1]}", f"--epoch={epoch}"]
        arguments += [f"--auth={auth}", f"--nonce-uses={nonce_uses}", f"--viewers={viewers}", f"--host={host}"]
        arguments += [f"--user={user}"] if user is not None else []
        arguments += [f"--certificate={tls.certificate}", f"--key={tls.key}"] if tls else []
        arguments += [f"--pictures={pictures}"] if pictures else []
        arguments += [f"--passwords={folder}/passwords.json"]
        known = passwords if passwords is not None else dict.fromkeys(FREE, password)
        await asyncio.to_thread(Path(folder, "passwords.json").write_text, json.dumps(dict(known)))
        camera = HttpCamera(
            [sys.executable, "-m", "tests.fakes.http_camera", *arguments],
            epoch=epoch,
            fps=fps,
            loop_seconds=numbers / fps,
            scheme="https" if tls else "http",
        )
        camera.host, camera.user, camera.password = host, user, password
        await camera.restart()
        try:
            yield camera
        finally:
            with suppress(ProcessLookupError):
                camera.thaw()
            await camera.kill()


if __name__ == "__main__":
    main()
