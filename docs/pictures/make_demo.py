"""Makes demo.svg, the README's picture, from a real run of the demo: python docs/pictures/make_demo.py"""

import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

SECONDS = 26
command = [str(Path(sys.executable).with_name("camscribe")), "demo", "--for", f"{SECONDS}s"]
done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "FORCE_COLOR": "1"})
console = Console(record=True, width=104, file=open(os.devnull, "w"))
console.print(Text.from_ansi(f"$ make demo\n{done.stdout}"))
picture = console.export_svg(title="camscribe demo")
picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)  # no reader's browser is sent elsewhere
Path(__file__).with_name("demo.svg").write_text(picture)
