"""The funnel as a picture: an SVG inside Markdown, which the UI shows where it is materialized."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape

LABEL, BAR, LINE = 110, 380, 26
ACCEPTED, REFUSED, INK = "#2f7d5b", "#e3b7ae", "#30343b"


def funnel_markdown(stages: Sequence[tuple[str, int, int]]) -> str:
    """The funnel as a Markdown image.

    Args:
        stages: Name, rows accepted and rows refused of each stage, in order.
    """
    picture = b64encode(funnel_svg(stages).encode()).decode()
    return f"![rows accepted and refused by stage](data:image/svg+xml;base64,{picture})"


def funnel_svg(stages: Sequence[tuple[str, int, int]]) -> str:
    """A bar a stage: what it accepted, then what it refused, on one scale of rows."""
    most = max((accepted + refused for _, accepted, refused in stages), default=0) or 1
    parts = []
    for number, (name, accepted, refused) in enumerate(stages):
        top, kept, lost = number * LINE + 4, BAR * accepted // most, BAR * refused // most
        said = f"{accepted:,}" + (f", {refused:,} refused" if refused else "")
        middle = top + 14
        parts += [
            f'<text x="{LABEL - 8}" y="{middle}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LABEL}" y="{top}" width="{kept}" height="18" fill="{ACCEPTED}"/>',
            f'<rect x="{LABEL + kept}" y="{top}" width="{lost}" height="18" fill="{REFUSED}"/>',
            f'<text x="{LABEL + kept + lost + 6}" y="{middle}">{said}</text>',
        ]
    width, height = LABEL + BAR + 150, len(stages) * LINE + 4
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="13" fill="{INK}">'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>{"".join(parts)}</svg>'
    )
