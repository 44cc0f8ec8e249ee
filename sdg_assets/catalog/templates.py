"""The language of the catalog's templates: sandboxed Jinja with a few filters, and a time limit.

It is the language of lm-eval's own YAML, with one difference: a template that is a single
expression keeps its value's type. lm-eval renders to text and guesses the type back, which turns
an answer like "007" or "1e5" into a number.
"""

from __future__ import annotations

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
# An honest template takes a millisecond.
COMPILE_SECONDS = 5.0


def _regex_replace(text: str, pattern: str, by: str = "", count: int = 0) -> str:
    return re.sub(pattern, by, text, count=count)


def _regex_search(text: str, pattern: str, group: int = 0) -> str:
    found = re.search(pattern, text, re.DOTALL)
    if found is None:
        raise MappingError(f"regex_search: {pattern!r} is not in {text[:80]!r}")
    return found.group(group)


def _detokenized(text: str) -> str:
    """Text that was published as tokens of the Penn Treebank (`ca n't , $ 5 .`)."""
    return str(detokenizer().detokenize(text.split()))


@cache
def detokenizer() -> TreebankWordDetokenizer:
    """The detokenizer behind the filter `detokenized`; the first call imports nltk."""
    from nltk.tokenize.treebank import TreebankWordDetokenizer  # a second of imports

    return TreebankWordDetokenizer()


def _last_boxed(text: str) -> str:
    r"""What stands in the last \boxed{...} or \fbox{...}, its own braces included.

    `\boxed 3` without braces, which MATH has a few of, ends where the formula does.
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


class _Sandbox(SandboxedEnvironment):
    """Jinja's sandbox; a power must stay small, for one big power cannot be interrupted."""

    intercepted_binops = frozenset({"**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        if isinstance(right, int | float) and abs(right) > LARGEST_EXPONENT:
            raise jinja2.TemplateRuntimeError(f"exponent {right} is over {LARGEST_EXPONENT}")
        return super().call_binop(context, operator, left, right)


def _environment() -> SandboxedEnvironment:
    environment = _Sandbox(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
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
        where: What messages call it, e.g. `arc/arc_easy: record.question`.

    Returns:
        A function of a raw row: the expression's value, or rendered text.

    Raises:
        CatalogError: It is not valid Jinja.
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
    """The expression between `{{` and `}}` if it is the whole template; else None."""
    body = ENVIRONMENT.parse(template).body
    if len(body) != 1 or not isinstance(body[0], nodes.Output) or len(body[0].nodes) != 1:
        return None
    if isinstance(body[0].nodes[0], nodes.TemplateData):
        return None
    inside = re.fullmatch(r"\{\{[-+]?(.*?)[-+]?\}\}", template, re.DOTALL)
    return inside[1] if inside else None


@cache
def template_fault(template: str) -> str | None:
    """What is wrong with a template's syntax, or with the filters that it names; None: nothing."""
    try:
        # Jinja evaluates what is constant while it compiles.
        with time_limit(COMPILE_SECONDS):
            ENVIRONMENT.compile(template, raw=True)
    except jinja2.TemplateSyntaxError as error:
        return error.message
    except TemplateTimeoutError:
        return f"takes more than {COMPILE_SECONDS:g} s to compile"
    return None


class TemplateTimeoutError(BaseException):
    """A template ran too long.

    Not an `Exception`: those that a template raises are facts about the row and are caught on the
    way up; this one must reach `time_limit`'s caller.
    """


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupts the block after `seconds` of wall time.

    It relies on SIGALRM, which also interrupts a regular expression that backtracks for ever (the
    `re` module looks for signals while it matches). Signals reach the main thread only, so the
    block runs without a limit in any other thread.

    Raises:
        TemplateTimeoutError: The time is over.
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
