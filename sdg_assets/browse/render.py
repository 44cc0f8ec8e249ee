"""Templates of the pages, and how numbers, dates and texts are written in them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

HERE = Path(__file__).parent
_UNITS = (("B", 1), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12))


@cache
def environment() -> jinja2.Environment:
    """The templates `templates/*.html.jinja`. Every value is escaped."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {"number": number, "percent": percent, "size": size, "when": when,
                    "plain": plain, "short": short}  # fmt: skip
    return env


def page(name: str, **values: Any) -> str:  # noqa: ANN401 – template variables
    """The page of the template `<name>.html.jinja`."""
    return environment().get_template(f"{name}.html.jinja").render(**values)


def number(value: float | None) -> str:
    """A number with thousands separators, and three significant digits if it is no whole one."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"


def percent(value: float | None) -> str:
    """A share as a percentage, with one digit where it would else read 0 % or 100 %."""
    if value is None:
        return "–"
    rounded = round(100 * value)
    is_rough = (rounded == 0 and value > 0) or (rounded == 100 and value < 1)
    return f"{100 * value:.1f} %" if is_rough else f"{rounded} %"


def size(count: float) -> str:
    """Bytes in a unit that fits."""
    unit, factor = next(((u, f) for u, f in reversed(_UNITS) if count >= f), _UNITS[0])
    return f"{count / factor:.3g} {unit}"


def when(moment: datetime) -> str:
    """A moment in UTC, to the minute."""
    return f"{moment.astimezone(UTC):%d %b %Y, %H:%M} UTC"


def short(text: object, length: int = 240) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(str(text).split())
    return line if len(line) <= length else f"{line[:length].rstrip()} …"


def plain(value: object) -> str:
    """A value of a record as text: texts as they are, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return number(value)
    return json.dumps(value, ensure_ascii=False)
