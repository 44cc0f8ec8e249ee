"""The template language of the catalog: sandboxed Jinja with a few filters, and a time limit.

It is the language of lm-eval's YAMLs, with two differences. A template that is a single expression
keeps the type of its value: lm-eval renders to text and then guesses the type, which turns answers
like "007" or "1e5" into numbers. And null, NaN or a list inside a text is an error of the row.
"""

from __future__ import annotations

import math
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import TYPE_CHECKING, Any

import jinja2
from jinja2 import nodes
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from sdg_assets.errors import CatalogError, MappingError

if TYPE_CHECKING:
    from nltk.tokenize.treebank import TreebankWordDetokenizer

Render = Callable[[Mapping[str, Any]], Any]
LARGEST_EXPONENT = 64
# A normal template compiles in about a millisecond.
COMPILE_SECONDS = 5.0


def _regex_replace(text: str, pattern: str, by: str = "", count: int = 0) -> str:
    return re.sub(pattern, by, text, count=count)


def _regex_search(text: str, pattern: str, group: int = 0) -> str:
    match = re.search(pattern, text, re.DOTALL)
    if match is None:
        raise MappingError(f"regex_search: {pattern!r} is not in {text[:80]!r}")
    return match.group(group)


def _detokenized(text: str) -> str:
    """Turns Penn Treebank tokens (`ca n't , $ 5 .`) into plain text (`can't, $5.`)."""
    return str(detokenizer().detokenize(text.split()))


@cache
def detokenizer() -> TreebankWordDetokenizer:
    """The detokenizer behind the filter `detokenized`; the first call imports nltk."""
    from nltk.tokenize.treebank import TreebankWordDetokenizer  # a second of imports

    return TreebankWordDetokenizer()


def _last_boxed(text: str) -> str:
    r"""The content of the last \boxed{...} or \fbox{...}, which may contain balanced braces.

    `\boxed 3` without braces, which occurs in MATH, ends at the next `$`.
    """
    boxes = list(re.finditer(r"\\(?:boxed|fbox)\b\s*(\{)?", text))
    if not boxes:
        raise MappingError(f"last_boxed: no \\boxed or \\fbox in {text[-80:]!r}")
    start = end = boxes[-1].end()
    if boxes[-1][1] is None:
        return text[start:].split("$")[0]
    depth = 1
    while depth and end < len(text):
        escaped = text[end - 1] == "\\" and text[end] in "{}"
        depth += 0 if escaped else {"{": 1, "}": -1}.get(text[end], 0)
        end += 1
    if depth:
        raise MappingError(f"last_boxed: braces are not balanced in {text[start:][:80]!r}")
    return text[start : end - 1]


def _text_only(value: object) -> object:
    """Lets texts and numbers into the text of a template, and nothing that only looks like a text.

    Jinja writes null, NaN and lists as the words "None", "nan" and "['a', 'b']". Such questions
    passed every gate.

    Raises:
        MappingError: The value has no wording of its own.
    """
    if isinstance(value, str | int | jinja2.Undefined):
        return value
    if isinstance(value, float) and not math.isnan(value):
        return value
    if value is None:
        raise MappingError("null inside a text; write default('', true) if it may be left out")
    if isinstance(value, float):
        raise MappingError("NaN inside a text")
    raise MappingError(f"{type(value).__name__} inside a text; choose its parts, or `join` them")


class _Sandbox(SandboxedEnvironment):
    """Jinja's sandbox with a limit on exponents, as no signal interrupts a single huge power."""

    intercepted_binops = frozenset({"**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        if isinstance(right, int | float) and abs(right) > LARGEST_EXPONENT:
            raise jinja2.TemplateRuntimeError(f"exponent {right} is over {LARGEST_EXPONENT}")
        return super().call_binop(context, operator, left, right)


def _environment() -> SandboxedEnvironment:
    environment = _Sandbox(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, finalize=_text_only
    )
    environment.filters["regex_replace"] = _regex_replace
    environment.filters["regex_search"] = _regex_search
    environment.filters["regex_findall"] = lambda text, pattern: re.findall(
        pattern, text, re.DOTALL
    )
    environment.filters["last_boxed"] = _last_boxed
    environment.filters["detokenized"] = _detokenized
    return environment


ENVIRONMENT = _environment()


def compile_template(template: str, where: str) -> Render:
    """Compiles one template.

    Args:
        template: Jinja source.
        where: Its name in messages, e.g. `arc/arc_easy: record.question`.

    Returns:
        A function from a raw row to the expression's value, or to the rendered text.

    Raises:
        CatalogError: The template is not valid Jinja.
    """
    try:
        source = single_expression(template)
        if source is None:
            return ENVIRONMENT.from_string(template).render
        expression = ENVIRONMENT.compile_expression(source, undefined_to_none=False)
        return lambda row: expression(**row)
    except jinja2.TemplateSyntaxError as error:
        raise CatalogError(f"{where}: {error.message} in {template!r}") from error


def single_expression(template: str) -> str | None:
    """The expression of a template that consists of one `{{ expression }}`; else None."""
    body = ENVIRONMENT.parse(template).body
    if len(body) != 1 or not isinstance(body[0], nodes.Output) or len(body[0].nodes) != 1:
        return None
    if isinstance(body[0].nodes[0], nodes.TemplateData):
        return None
    inside = re.fullmatch(r"\{\{[-+]?(.*?)[-+]?\}\}", template, re.DOTALL)
    return inside[1] if inside else None


@cache
def template_fault(template: str) -> str | None:
    """The error in a template: wrong syntax, unknown filter, or too slow; None if it is fine."""
    try:
        # A time limit, because Jinja evaluates constant expressions when it compiles.
        with time_limit(COMPILE_SECONDS):
            ENVIRONMENT.compile(template, raw=True)
    except jinja2.TemplateSyntaxError as error:
        return error.message
    except TemplateTimeoutError:
        return f"takes more than {COMPILE_SECONDS:g} s to compile"
    return None


class TemplateTimeoutError(BaseException):
    """A template ran too long.

    Not an `Exception`: the mapping catches those, as faults of the row. This one must reach the
    caller of `time_limit`.
    """


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupts the block after `seconds` of wall time.

    It uses SIGALRM, which also interrupts a regular expression that backtracks for ever (the `re`
    module checks for signals while it matches). Only the main thread receives signals, so in any
    other thread the block has no time limit.

    Raises:
        TemplateTimeoutError: The block took longer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise TemplateTimeoutError

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
