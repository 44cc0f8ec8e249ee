"""The funnel as a picture: an SVG inside Markdown, which the UI shows where it is materialized.

The UI shows Markdown of up to 1,000 characters in its place and hides longer behind a link, so the
picture is drawn with few strokes. On an asset's overview a window of 1,440 px leaves 318 px for it;
what is wider is cut off, and refused rows are drawn on the right.
"""

from base64 import b64encode
from collections.abc import Sequence
from html import escape

BAR, LINE = 300, 40
ACCEPTED, REFUSED = "#2f7d5b", "#e3b7ae"


def funnel_markdown(stages: Sequence[tuple[str, int, int]]) -> str:
    """The funnel as a Markdown image.

    Args:
        stages: Name, rows accepted and rows refused of each stage, in order.
    """
    picture = b64encode(funnel_svg(stages).encode()).decode()
    return f"![funnel](data:image/svg+xml;base64,{picture})"


def funnel_svg(stages: Sequence[tuple[str, int, int]]) -> str:
    """A bar a stage: what it accepted, then what it refused, on one scale of rows."""
    most = max((accepted + refused for _, accepted, refused in stages), default=0) or 1
    kept, lost, texts = "", "", ""
    for number, (name, accepted, refused) in enumerate(stages):
        middle, width = number * LINE + 26, BAR * accepted // most
        kept += f"M0 {middle}h{width}"
        lost += f"M{width} {middle}h{BAR * refused // most}" if refused else ""
        said = f"{name} {accepted:,}" + (f", {refused:,} refused" if refused else "")
        texts += f'<text y="{middle - 11}">{escape(said)}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{BAR}" '
        f'height="{len(stages) * LINE}" font-size="14" stroke-width="14">'
        f'<path fill="#fff" d="M0 0h999v999H0"/><path stroke="{ACCEPTED}" d="{kept}"/>'
        f'<path stroke="{REFUSED}" d="{lost}"/><g stroke-width="0">{texts}</g></svg>'
    )
