"""Runs the engine and sees to it that the engine never outlives the agent. A process of its own, standard library only.

    python guard.py GRACE COMMAND...

Standard input is a pipe whose other end only the agent holds. Its end means: the agent wants the engine gone, or is
itself gone, however it died. Then the engine gets TERM, ``GRACE`` seconds, KILL. There is no portable way for a parent
that is killed to take its children along (PR_SET_PDEATHSIG is Linux alone); the end of a pipe works everywhere.

Standard output tells the agent ``pid N`` and ``exit N`` (negative: the signal); the engine's own output, both
streams, goes to standard error. The agent starts the guard as the leader of a new process group.
"""

import os
import signal
import subprocess
import sys
import threading
from types import FrameType


def main() -> None:
    grace, command = float(sys.argv[1]), sys.argv[2:]
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2)  # noqa: S603  what the agent asked for
    except OSError as error:
        os.write(2, f"{command[0]} can't be started: {error.strerror}\n".encode())
        tell("exit 127")
        return
    tell(f"pid {child.pid}")
    ended = threading.Event()

    def forward(_signal: int, _frame: FrameType | None) -> None:
        child.terminate()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, forward)
    threading.Thread(target=take_down, args=(child, grace, ended), daemon=True).start()
    code = child.wait()
    ended.set()
    tell(f"exit {code}")
    kill_group()  # whatever the engine has started itself


def take_down(child: "subprocess.Popen[bytes]", grace: float, ended: threading.Event) -> None:
    """Wait for the end of standard input, then end the engine."""
    while os.read(0, 4096):
        pass
    child.terminate()
    if not ended.wait(grace):
        kill_group()


def kill_group() -> None:
    if os.getpgrp() == os.getpid():  # else it was started by hand, in somebody's shell
        os.killpg(0, signal.SIGKILL)


def tell(line: str) -> None:
    try:
        os.write(1, f"{line}\n".encode())
    except OSError:
        return  # the agent is gone; what is left to do goes without it


if __name__ == "__main__":
    main()
