"""Makes address.svg, the picture in docs/cameras.md: python docs/pictures/make_address.py"""

from html import escape
from pathlib import Path

PARTS = (
    ("rtsp://", "how", "#57606a"),
    ("viewer", "user", "#0550ae"),
    (":", "", "#57606a"),
    ("${PASSWORD}", "password", "#cf222e"),
    ("@", "", "#57606a"),
    ("192.168.1.20", "the camera", "#116329"),
    (":", "", "#57606a"),
    ("554", "port", "#8250df"),
    ("/", "", "#57606a"),
    ("stream2", "which stream", "#953800"),
)
"""The address from left to right: a piece, what it is, its colour."""

LETTER = 16.0
MARGIN = 28.0
BASELINE, BRACKET, LABEL, HEIGHT = 52, 66, 98, 122


def picture() -> str:
    shapes, left = [], MARGIN
    for text, label, colour in PARTS:
        width = LETTER * len(text)
        # With its length told, a letter is as wide as reckoned whatever font a reader has.
        shapes.append(
            f'<text x="{left:g}" y="{BASELINE}" textLength="{width:g}" lengthAdjust="spacingAndGlyphs" class="address" fill="{colour}">'
            f"{escape(text)}</text>"
        )
        if label:
            middle, right = left + width / 2, left + width - 3
            shapes.append(
                f'<path d="M{left + 3:g} {BRACKET}v7H{right:g}v-7M{middle:g} {BRACKET + 7}v7" stroke="{colour}"/>'
            )
            shapes.append(f'<text x="{middle:g}" y="{LABEL}" class="label" fill="{colour}">{escape(label)}</text>')
        left += width
    whole = left + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole:g} {HEIGHT}" width="{whole:g}" role="img">',
            "<title>The parts of an RTSP address</title>",
            "<style>.address{font:26px ui-monospace,Menlo,Consolas,monospace}path{fill:none;stroke-width:1.5}",
            ".label{font:15px system-ui,sans-serif;text-anchor:middle}</style>",
            f'<rect width="{whole:g}" height="{HEIGHT}" rx="8" fill="#f6f8fa"/>',
            *shapes,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    Path(__file__).with_name("address.svg").write_text(picture())
