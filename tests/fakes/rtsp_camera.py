"""A fake RTSP camera: a real server in a process of its own, with a fault for every occasion.

Pictures are shown in a loop on CLOCK_MONOTONIC: what is on now follows from the time alone, for every client.

    async with rtsp_camera([red, blue], seconds_each=2) as camera:
        camera.url()                             # rtsp://127.0.0.1:40123/live
        camera.url(fault="freeze", after=3)
        camera.showing()                         # 0: red is on
        await camera.kill(); await camera.restart()

Faults, in the URL's query (``times=N``: only for the first N sessions that ask for this very URL; ``until=S``:
until a session is so old):

    fault=status&code=503        answers DESCRIBE with that status (at=SETUP, at=PLAY: that request)
    fault=mute&at=DESCRIBE       answers nothing from that request on (OPTIONS, DESCRIBE, SETUP, PLAY)
    fault=garbage | trickle      answers with noise | one byte a second
    fault=audio                  a sound track only
    fault=nokey                  never a key frame; with for=S for so long only
    fault=freeze | close | reset | half | noise   after=S seconds: nothing more, FIN, RST, half a packet, noise
    fault=corrupt | loss         share=0.02 of the RTP packets are damaged | left out
    fault=gap                    each=10&packet=0: one packet of each 10th picture is lost (-1: the last; all)
    fault=nosps                  no parameter sets in the session description
    fault=tsjump                 after=S: the camera's clock leaps an hour (by=-3600: back)
    fault=renumber               after=S: the packets' numbers leap (by=-5000), as behind a proxy that reconnects
    fault=resize                 after=S: another picture size in band, from a key frame on
    fault=slow                   pace=0.5: delivers at half speed, so that it lags ever further behind
    fault=session                seconds=10: ends sessions that send no request (a keep-alive) for so long
    fault=cached                 begins with the pictures since a key frame before=S seconds ago, all at once

Or turns=401,503,close,…: each session has the next of these, a status or a fault, in turn.

Beside any fault: late=S (answers DESCRIBE only after S seconds), every=N (sends only each Nth picture; with gop=1),
single=453 | 503 | close (what a second viewer gets), base=none | relative | elsewhere (other ways to name the tracks),
tracks=both | backchannel (sound tracks beside the video), sets=once | apart (no parameter sets in the description; in
band only with the first key frame, or in packets of their own before each).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import pickle
import random
import secrets
import signal
import socket
import struct
import sys
import tempfile
import time
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from PIL import Image

from tests.fakes import clips, rtp

ROOT = Path(__file__).resolve().parents[2]
REALM = "fake camera"


@dataclass(frozen=True)
class Settings:
    """What the server's command line says."""

    pictures: Path | None
    numbers: int
    size: tuple[int, int]
    seconds_each: float
    fps: int
    gop: int
    codec: str
    bit_rate: int | None
    epoch: float
    user: str | None
    passwords: Mapping[str, str | None]
    """Path → its password; a path that is missing here is answered with 404."""
    auth: str


def make_clip(settings: Settings, size: tuple[int, int] | None = None) -> clips.Clip:
    if settings.pictures is None:
        frames = clips.numbered(settings.numbers, settings.size)
    else:
        files = sorted(settings.pictures.glob("*.png")) + sorted(settings.pictures.glob("*.jp*g"))
        frames = clips.shown([Image.open(file) for file in files], settings.seconds_each, settings.fps)
    return clips.encode(
        frames, codec=settings.codec, fps=settings.fps, gop=settings.gop, bit_rate=settings.bit_rate, size=size
    )


class Server:
    """All the sessions, and what they share."""

    def __init__(self, settings: Settings, clip: clips.Clip) -> None:
        self.settings = settings
        self.clip = clip
        self.asked: Counter[str] = Counter()
        self.nonce = secrets.token_hex(8)
        self._other: clips.Clip | None = None
        self.viewer: Session | None = None
        """Who has the only place, where there is but one (``single``)."""

    @property
    def other_clip(self) -> clips.Clip:
        """The same in another size, for ``resize``."""
        if self._other is None:
            width, height = self.settings.size
            self._other = make_clip(self.settings, (width * 3 // 4 // 2 * 2, height // 2 // 2 * 2))
        return self._other

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(self, reader, writer)
        try:
            await session.run()
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the client went away, or a fault closed the line
        finally:
            session.end()

    def event(self, **what: Any) -> None:
        print(json.dumps(what), flush=True)


class Session:
    """One client."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.reader, self.writer = server, reader, writer
        self.id = secrets.token_hex(4)
        self.query: dict[str, str] = {}
        self.path = ""
        self.channel = 0
        self.datagrams: tuple[asyncio.DatagramTransport, tuple[str, int]] | None = None
        self.streaming: asyncio.Task[None] | None = None
        self.heard = time.monotonic()
        self.random = random.Random(7)

    def fault(self, name: str) -> bool:
        return self.query.get("fault") == name

    def number(self, name: str, default: float) -> float:
        return float(self.query.get(name, default))

    async def run(self) -> None:
        while True:
            first = await self.reader.readexactly(1)
            if first == b"$":  # RTCP from the client
                _, length = struct.unpack(">BH", await self.reader.readexactly(3))
                await self.reader.readexactly(length)
                continue
            self.heard = time.monotonic()
            head = (first + await self.reader.readuntil(b"\r\n\r\n")).decode()
            request, *lines = head.strip().split("\r\n")
            headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
            await self.reader.readexactly(int(headers.get("content-length", 0)))
            await self.answer(*request.split()[:2], headers)

    async def answer(self, method: str, uri: str, headers: dict[str, str]) -> None:
        if method in {"OPTIONS", "DESCRIBE"}:
            self.look_up(uri, count=method == "DESCRIBE" and "authorization" not in headers)
            if self.fault("resize"):  # encoded now and beside the others: it takes too long in the middle of a stream
                await asyncio.to_thread(lambda: self.server.other_clip)
        if method == "DESCRIBE":
            await asyncio.sleep(self.number("late", 0))
        if self.fault("mute") and (self.query.get("at") == method or self.query.get("at") == "muted"):
            self.query["at"] = "muted"
            return
        if self.query.get("single") == "close" and self.server.viewer not in {None, self}:
            self.server.event(event="full")
            self.writer.close()
            return
        if self.fault("garbage"):
            self.writer.write(self.random.randbytes(4000).replace(b"\n", b""))
            return
        status, extra, body = self.reply(method, uri, headers)
        text = f"RTSP/1.0 {status}\r\nCSeq: {headers.get('cseq', '0')}\r\n"
        text += "".join(f"{key}: {value}\r\n" for key, value in extra.items())
        text += f"Content-Length: {len(body)}\r\n\r\n{body}"
        for part in [*text] if self.fault("trickle") else [text]:
            self.writer.write(part.encode())
            if self.fault("trickle"):
                await asyncio.sleep(1)
            if self.writer.is_closing():
                return
        if method == "PLAY" and status.startswith("200") and self.streaming is None:
            self.streaming = asyncio.create_task(self.stream())

    def look_up(self, uri: str, *, count: bool) -> None:
        split = urlsplit(uri)
        self.path = split.path.rstrip("/") or "/"
        self.query = dict(parse_qsl(split.query))
        asked = self.server.asked
        asked[uri] += count
        if "turns" in self.query:
            turns = self.query["turns"].split(",")
            turn = turns[(asked[uri] - 1) % len(turns)]
            self.query |= {"fault": "status" if turn.isdigit() else turn, "code": turn}
        if asked[uri] > self.number("times", 1e9):
            self.query.pop("fault", None)

    def reply(self, method: str, uri: str, headers: dict[str, str]) -> tuple[str, dict[str, str], str]:
        if self.fault("status") and self.query.get("at") == method:
            return f"{self.query['code']} Refused", {}, ""
        if method in {"GET_PARAMETER", "TEARDOWN"}:
            self.server.event(event=method.lower())
        if method == "TEARDOWN":
            self.leave()
        if method == "OPTIONS":
            return "200 OK", {"Public": "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"}, ""
        if method == "DESCRIBE":
            return self.describe(method, uri, headers)
        if method == "SETUP":
            if "single" in self.query and self.server.viewer not in {None, self}:
                self.server.event(event="full")
                return f"{self.query['single']} Full", {}, ""
            self.server.viewer = self
            self.server.event(event="setup", track=uri.rstrip("/").rpartition("/")[2], uri=uri)
            return self.set_up(headers["transport"])
        if method == "PLAY" and not self.fault("mute"):
            self.server.event(event="play", path=self.path)
        return "200 OK", {"Session": f"{self.id};timeout={self.number('seconds', 60):g}"}, ""

    def describe(self, method: str, uri: str, headers: dict[str, str]) -> tuple[str, dict[str, str], str]:
        settings = self.server.settings
        if self.fault("status") and "at" not in self.query:
            code = self.query["code"]
            self.server.event(event="refused", status=int(code))
            return f"{code} Refused", {"WWW-Authenticate": self.challenge()} if code == "401" else {}, ""
        if self.path not in settings.passwords:
            self.server.event(event="refused", status=404)
            return "404 Not Found", {}, ""
        if settings.user is not None and not self.authorized(method, headers.get("authorization", "")):
            self.server.event(event="refused", status=401, tried="authorization" in headers)
            return "401 Unauthorized", {"WWW-Authenticate": self.challenge()}, ""
        audio = self.fault("audio")
        base = uri.split("?", maxsplit=1)[0].rstrip("/")
        body = rtp.describe(
            self.server.clip,
            base,
            parameters=not self.fault("nosps") and "sets" not in self.query,
            video=not audio,
            audio=audio or self.fault("both") or "tracks" in self.query,
            backchannel=self.query.get("tracks") == "backchannel",
            relative="base" in self.query,
        )
        bases = {"none": {}, "elsewhere": {"Content-Base": "rtsp://0.0.0.0:554/"}}
        named = bases.get(self.query.get("base", ""), {"Content-Base": base + "/"})
        return "200 OK", {"Content-Type": "application/sdp", **named}, body

    @property
    def scheme(self) -> str:
        return self.query.get("auth", self.server.settings.auth)

    def challenge(self) -> str:
        if self.scheme == "basic":
            return f'Basic realm="{REALM}"'
        return f'Digest realm="{REALM}", nonce="{self.server.nonce}"'

    def authorized(self, method: str, header: str) -> bool:
        user, password = self.server.settings.user, self.server.settings.passwords[self.path]
        kind, _, rest = header.partition(" ")
        if kind.lower() != self.scheme:
            return False
        if self.scheme == "basic":
            return b64decode(rest).decode() == f"{user}:{password}"
        fields = {
            key.strip(): value.strip('" ') for key, _, value in (part.partition("=") for part in rest.split(", "))
        }
        secret = _md5(f"{user}:{REALM}:{password}")
        asked = _md5(f"{method}:{fields.get('uri', '')}")
        return fields.get("response") == _md5(f"{secret}:{self.server.nonce}:{asked}")

    def set_up(self, transport: str) -> tuple[str, dict[str, str], str]:
        fields = dict(part.partition("=")[::2] for part in transport.split(",", maxsplit=1)[0].split(";"))
        session = {"Session": f"{self.id};timeout={self.number('seconds', 60):g}"}
        if "interleaved" in fields:
            self.channel = int(fields["interleaved"].split("-")[0])
            return "200 OK", {"Transport": f"RTP/AVP/TCP;unicast;interleaved={fields['interleaved']}", **session}, ""
        port = int(fields["client_port"].split("-")[0])
        outward = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        outward.bind(("127.0.0.1", 0))
        outward.setblocking(False)
        self.datagrams = (outward, (self.writer.get_extra_info("peername")[0], port))
        mine = outward.getsockname()[1]
        ports = f"client_port={fields['client_port']};server_port={mine}-{mine + 1}"
        return "200 OK", {"Transport": f"RTP/AVP;unicast;{ports}", **session}, ""

    async def stream(self) -> None:
        try:
            await self._stream()
        except ConnectionError:
            pass  # the client went away
        finally:
            self.writer.close()

    async def _stream(self) -> None:
        """Pictures at their moments, from the one that is on now."""
        began = time.monotonic()
        settings, clip = self.server.settings, self.server.clip
        jump, sequence = self.random.randrange(2**31), self.random.randrange(2**15)
        audio = self.fault("audio")
        frame = int((began - settings.epoch) * clip.fps) + 1
        if self.fault("cached"):
            frame -= int(self.number("before", 2) * clip.fps)
            frame -= frame % settings.gop
        begun = False
        while True:
            if frame % int(self.number("every", 1)):
                frame += 1
                continue
            await self._until(frame, began)
            since = time.monotonic() - began
            if since >= self.number("until", 1e9):
                self.query.pop("fault", None)
            if since >= self.number("after", 1e9):
                if self.fault("resize"):
                    other = self.server.other_clip
                    clip = other if other.units[frame % len(other.units)].key else clip
                elif self.fault("tsjump"):
                    jump, self.query["fault"] = jump + int(self.number("by", 3600)) * rtp.CLOCK, "jumped"
                elif self.fault("renumber"):
                    sequence, self.query["fault"] = sequence + int(self.number("by", -5000)), "renumbered"
                elif await self._breaks():
                    return
            if self.fault("session") and time.monotonic() - self.heard > self.number("seconds", 60):
                return
            if self.writer.transport.get_write_buffer_size() > 16_000_000:
                return  # a reader that slow is dropped, as cameras do
            if self.writer.is_closing():
                return
            unit = clip.units[frame % len(clip.units)]
            if self.fault("nokey") and unit.key and since < self.number("for", 1e9):
                unit = clips.Unit((), key=False)
            if "sets" in self.query and unit.key:
                sets = [nal for nal in unit.nals if nal in clip.parameters]
                if self.query["sets"] == "apart" or not begun:
                    stamp = (2 * frame - 1) * rtp.CLOCK // clip.fps // 2 + jump
                    for nal in sets:
                        self._send(rtp.packets(clip.codec, clips.Unit((nal,), key=False), sequence, stamp))
                        sequence += 1
                unit = clips.Unit(tuple(nal for nal in unit.nals if nal not in sets), key=True)
                begun = True
            if not audio:
                parts = rtp.packets(clip.codec, unit, sequence, (frame + unit.later) * rtp.CLOCK // clip.fps + jump)
                sequence += len(parts)
                self._send(self._with_gap(parts, frame % len(clip.units)))
            frame += 1

    async def _until(self, frame: int, began: float) -> None:
        due = self.server.settings.epoch + frame / self.server.clip.fps
        if self.fault("slow"):
            due = began + (due - began) / self.number("pace", 0.5)
        await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _breaks(self) -> bool:
        """The faults that end the stream; False if this one isn't one of them."""
        match self.query.get("fault"):
            case "freeze":
                await asyncio.Event().wait()
            case "close":
                return True
            case "reset":
                linger = struct.pack("ii", 1, 0)
                self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return True
            case "half":
                self.writer.write(struct.pack(">cBH", b"$", self.channel, 1400) + bytes(600))
                await asyncio.Event().wait()
            case "noise":
                self.writer.write(self.random.randbytes(100_000))
                await asyncio.Event().wait()
        return False

    def _with_gap(self, parts: list[bytes], number: int) -> list[bytes]:
        """Pictures 1, 1 + each, … of the loop, for ``gap``."""
        if not self.fault("gap") or number % int(self.number("each", 10)) != 1:
            return parts
        lost = self.query["packet"]
        if lost == "all":
            return []
        return [part for part in parts if part is not parts[min(int(lost), len(parts) - 1)]]

    def _send(self, parts: list[bytes]) -> None:
        share = self.number("share", 0.02)
        if self.fault("loss"):
            parts = [part for part in parts if self.random.random() >= share]
        if self.fault("corrupt"):
            parts = [self._damaged(part) if self.random.random() < share else part for part in parts]
        if self.datagrams:
            for part in parts:
                self.datagrams[0].sendto(part, self.datagrams[1])
        else:
            self.writer.write(b"".join(struct.pack(">cBH", b"$", self.channel, len(part)) + part for part in parts))

    def _damaged(self, part: bytes) -> bytes:
        if len(part) < 200:
            return part  # a damaged parameter set can make a wrong picture without an error: no network does that
        middle = 12 + max(0, len(part) - 12) // 2
        return part[:middle] + self.random.randbytes(min(40, len(part) - middle)) + part[middle + 40 :]

    def leave(self) -> None:
        if self.server.viewer is self:
            self.server.viewer = None

    def end(self) -> None:
        self.leave()
        if self.streaming:
            self.streaming.cancel()
        if self.datagrams:
            self.datagrams[0].close()
        self.writer.close()


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


async def _serve(settings: Settings, clip: clips.Clip, host: str, port: int) -> None:
    camera = Server(settings, clip)
    server = await asyncio.start_server(camera.serve, host, port, backlog=200)
    camera.event(port=server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()


def _cached_clip(settings: Settings, cache: Path | None) -> clips.Clip:
    """Encoding takes seconds: a restarted server finds its clip again."""
    if cache and cache.exists():
        return pickle.loads(cache.read_bytes())
    clip = make_clip(settings)
    if cache:
        cache.with_suffix(".part").write_bytes(pickle.dumps(clip))
        cache.with_suffix(".part").rename(cache)
    return clip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--pictures", type=Path, help="a folder of .png and .jpg files; without it, numbered pictures")
    parser.add_argument("--seconds-each", type=float, default=2.0)
    parser.add_argument("--numbers", type=int, default=400, help="how many numbered pictures make the loop")
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--fps", type=int, default=10)
    parser.add_argument("--gop", type=int, default=10)
    parser.add_argument("--bit-rate", type=int)
    parser.add_argument("--codec", choices=list(clips.CODECS), default="h264")
    parser.add_argument("--epoch", type=float, help="CLOCK_MONOTONIC at which picture 0 is on; default now")
    parser.add_argument("--user")
    parser.add_argument("--passwords", type=Path, help="a JSON file: path → password, or null")
    parser.add_argument("--auth", choices=["digest", "basic"], default="digest")
    parser.add_argument("--cache", type=Path, help="keep the encoded clip in this file")
    args = parser.parse_args()
    width, height = args.size.split("x")
    settings = Settings(
        pictures=args.pictures,
        numbers=args.numbers,
        size=(int(width), int(height)),
        seconds_each=args.seconds_each,
        fps=args.fps,
        gop=args.gop,
        codec=args.codec,
        bit_rate=args.bit_rate,
        epoch=time.monotonic() if args.epoch is None else args.epoch,
        user=args.user,
        passwords=json.loads(args.passwords.read_text()) if args.passwords else {"/live": None},
        auth=args.auth,
    )
    clip = _cached_clip(settings, args.cache)
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(settings, clip, args.host, args.port))


class RtspCamera:
    """A camera as a test sees it: its addresses, its process, and what it was asked for."""

    def __init__(self, command: list[str], *, epoch: float, port: int, user: str | None, password: str | None) -> None:
        self.epoch = epoch
        self.port = port
        self.user, self.password = user, password
        self.host = "127.0.0.1"
        self.events: list[dict[str, Any]] = []
        """``{"event": "play", "path": …}`` and ``{"event": "refused", "status": 401 …}``, oldest first."""
        self.fps = 0
        self.loop_seconds = 0.0
        self.seconds_each = 0.0
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None

    def url(self, path: str = "/live", **query: object) -> str:
        """The stream's URL with the credentials in it, where it has any. The query names the faults."""
        login = ""
        if self.user is not None:
            login = f"{quote(self.user, safe='')}:{quote(self.password or '', safe='')}@"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"rtsp://{login}{host}:{self.port}{path}{'?' + urlencode(query) if query else ''}"

    def showing(self) -> int:
        """Which of the pictures is on at this moment."""
        into = (time.monotonic() - self.epoch) % self.loop_seconds
        return int(into / self.seconds_each)

    def age(self, number: int) -> float:
        """Seconds since numbered picture ``number`` was last sent (the loop must be longer than that)."""
        return (time.monotonic() - self.epoch - number / self.fps) % self.loop_seconds

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
async def rtsp_camera(
    pictures: Sequence[Image.Image] | None = None,
    seconds_each: float = 2.0,
    fps: int = 10,
    gop: int = 10,
    port: int = 0,
    user: str | None = None,
    password: str | None = None,
    auth: str = "digest",
    *,
    passwords: Mapping[str, str | None] | None = None,
    numbers: int = 400,
    size: tuple[int, int] = (640, 480),
    codec: str = "h264",
    bit_rate: int | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[RtspCamera]:
    """A running fake camera with ``pictures`` in a loop (``numbers`` numbered pictures where there are none).

    ``/live`` is its one path; ``passwords`` names other paths with a password each.
    """
    with tempfile.TemporaryDirectory(prefix="rtsp-camera-") as folder:
        epoch = time.monotonic()
        arguments = [f"--fps={fps}", f"--gop={gop}", f"--codec={codec}", f"--auth={auth}", f"--epoch={epoch}"]
        arguments += [f"--seconds-each={seconds_each}", f"--numbers={numbers}", f"--size={size[0]}x{size[1]}"]
        arguments += [f"--cache={folder}/clip", f"--passwords={folder}/passwords.json"]
        arguments += [f"--host={host}"]
        arguments += [f"--user={user}"] if user is not None else []
        arguments += [f"--bit-rate={bit_rate}"] if bit_rate else []
        arguments += [f"--pictures={folder}"] if pictures is not None else []
        known = passwords if passwords is not None else {"/live": password}
        await asyncio.to_thread(_write, Path(folder), list(pictures or ()), known)
        camera = RtspCamera(
            [sys.executable, "-m", "tests.fakes.rtsp_camera", *arguments],
            epoch=epoch,
            port=port,
            user=user,
            password=password,
        )
        camera.fps, camera.seconds_each, camera.host = fps, seconds_each, host
        camera.loop_seconds = numbers / fps if pictures is None else len(pictures) * round(seconds_each * fps) / fps
        async with running(camera):
            yield camera


@asynccontextmanager
async def running(camera: RtspCamera) -> AsyncIterator[None]:
    """``camera``'s server while the block runs."""
    await camera.restart()
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            camera.thaw()
        await camera.kill()


def _write(folder: Path, pictures: Sequence[Image.Image], passwords: Mapping[str, str | None]) -> None:
    for number, picture in enumerate(pictures):
        picture.save(folder / f"{number:04}.png")
    (folder / "passwords.json").write_text(json.dumps(dict(passwords)))


if __name__ == "__main__":
    main()
