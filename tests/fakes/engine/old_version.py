"""A real llama-server as it was before the newer options: it tells of none of them, and rejects them as it did."""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.fakes.engine.stand_in import OLD_FLAGS

KNOWN = (*OLD_FLAGS, "--no-webui")


def old_version(program: Path, folder: Path) -> Path:
    """What it was given and did not know is written to ``rejected`` beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "llama-server"
    options = "\\n".join(f"{flag} X   does what it says" for flag in KNOWN)
    path.write_text(
        "#!/bin/sh\n"
        f"if [ \"$1\" = --help ]; then printf '%b\\n' 'usage:\\n{options}'; exit; fi\n"
        "for word do case $word in\n"
        f"{'|'.join([*KNOWN, '--version'])}) ;;\n"
        '-*) echo "error: invalid argument: $word" >&2\n'
        f'echo "$word" >>{shlex.quote(str(folder / "rejected"))}\nexit 1 ;;\n'
        f'esac; done\nexec {shlex.quote(str(program))} "$@"\n'
    )
    path.chmod(0o755)
    return path
