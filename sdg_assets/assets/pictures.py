"""The funnel as a picture: an SVG inside Markdown, which the UI shows with the materialization.

The UI shows Markdown of up to 1,000 characters inline and hides longer Markdown behind a link, so
the picture has few strokes. In a window of 1,440 px an asset's overview leaves 318 px for it. A
wider picture would be cut off at the right, where refused rows are drawn.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape

BAR, LINE = 300, 40
ACCEPTED, REFUSED = "#2f7d5b", "#e3b7ae"


def funnel_markdown(
    stages: Sequence[tuple[str, int, int]], before: Mapping[str, int] | None = None
) -> str:
    """The funnel as a Markdown image; arguments as for `funnel_svg`."""
    picture = b64encode(funnel_svg(stages, before).encode()).decode()
    return f"![funnel](data:image/svg+xml;base64,{picture})"


def funnel_svg(
    stages: Sequence[tuple[str, int, int]], before: Mapping[str, int] | None = None
) -> str:
    """One bar per stage: accepted rows, then refused rows. All bars have the same scale.

    Args:
        stages: (name, accepted rows, refused rows) of each stage, in order.
        before: Stage → its accepted rows at the materialization before; of a stage that is left
            out, no change is shown.
    """
    most = max((accepted + refused for _, accepted, refused in stages), default=0) or 1
    accepted_bars, refused_bars, texts = "", "", ""
    for number, (name, accepted, refused) in enumerate(stages):
        middle, width = number * LINE + 26, BAR * accepted // most
        accepted_bars += f"M0 {middle}h{width}"
        refused_bars += f"M{width} {middle}h{BAR * refused // most}" if refused else ""
        change = f" ({accepted - before[name]:+,})" if before and name in before else ""
        label = f"{name} {accepted:,}{change}" + (f", {refused:,} refused" if refused else "")
        texts += f'<text y="{middle - 11}">{escape(label)}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{BAR}" '
        f'height="{len(stages) * LINE}" font-size="14" stroke-width="14">'
        f'<path fill="#fff" d="M0 0h999v999H0"/><path stroke="{ACCEPTED}" d="{accepted_bars}"/>'
        f'<path stroke="{REFUSED}" d="{refused_bars}"/><g stroke-width="0">{texts}</g></svg>'
    )
