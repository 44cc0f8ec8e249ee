"""Reads settings from environment variables; one error lists every wrong value and unknown name."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import platformdirs
from pydantic import BeforeValidator, ValidationError
from pydantic_settings import BaseSettings, NoDecode

from sdg_assets.addresses import masked
from sdg_assets.errors import PermanentError

# Kubernetes puts the address of each Service of a namespace into the environment of every pod: a
# Service `sdg-code` adds SDG_CODE_SERVICE_HOST, SDG_CODE_PORT_3030_TCP_ADDR and so on.
_SERVICE_LINK = re.compile(
    r".+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)"
)


def _decoded(value: Any) -> Any:  # noqa: ANN401 – the variable's text, or a default
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from error


T = TypeVar("T")
# A variable that holds JSON. pydantic-settings' own decoding raises without naming the variable.
Json = Annotated[T, NoDecode, BeforeValidator(_decoded)]


class EnvironmentSettings(BaseSettings):
    """Base of settings whose fields are read from the variables `<prefix><FIELD>`."""

    read_elsewhere: ClassVar[frozenset[str]] = frozenset()
    """Variables with this prefix that other code reads, so they are not fields here."""
    prefixes_elsewhere: ClassVar[tuple[str, ...]] = ()
    """Longer prefixes that belong to other settings classes."""

    @classmethod
    def variables(cls) -> set[str]:
        """The names of all known variables with this prefix."""
        prefix = cls.model_config["env_prefix"]
        return {prefix + name.upper() for name in cls.model_fields} | cls.read_elsewhere

    @classmethod
    def unknown_variables(cls) -> Iterator[str]:
        """Yields an error text for each unknown variable with this prefix in the environment."""
        prefix, known = cls.model_config["env_prefix"], cls.variables()
        for name in sorted(os.environ):
            is_ours = name.startswith(prefix) and not name.startswith(cls.prefixes_elsewhere)
            if is_ours and name not in known and not _SERVICE_LINK.fullmatch(name):
                yield f"{name} is no setting; {nearest(name, sorted(known))}"


SettingsT = TypeVar("SettingsT", bound=EnvironmentSettings)


def from_environment(kind: type[SettingsT]) -> SettingsT:
    """Reads settings from the environment.

    Args:
        kind: The settings class.

    Raises:
        PermanentError: A variable has an invalid value or an unknown name; the message names each
            of them.
    """
    blank = [v for v in sorted(kind.variables()) if not os.environ.get(v, "set").strip()]
    problems = [f"{variable} is empty: give it a value, or unset it" for variable in blank]
    problems += kind.unknown_variables()
    try:
        values = kind()
    except ValidationError as error:
        prefix = kind.model_config["env_prefix"]
        for fault in error.errors():
            variable = f"{prefix}{_variable(fault['loc'])}" if fault["loc"] else ""
            if variable not in blank:
                value = f"{variable}={masked(repr(fault['input']))}: " if variable else ""
                problems.append(value + _reason(fault["msg"]))
    if problems:
        raise PermanentError(f"environment: {'; '.join(problems)}")
    return values


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name.

    Args:
        name: The unknown name.
        known: All valid names.

    Returns:
        `did you mean …?` with at most three similar names; if none is similar, the first twelve
        valid names.
    """
    names = list(known)
    close = get_close_matches(name, names, n=3)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(sorted(names)[:12])}{' …' if len(names) > 12 else ''}"


def cache_directory(name: str) -> Path:
    """A directory of the cache (`SDG_CACHE`), whose content may be deleted at any time.

    Args:
        name: What it holds.
    """
    root = os.environ.get("SDG_CACHE") or platformdirs.user_cache_dir("sdg_assets")
    return Path(root).expanduser().resolve() / name


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ")


def _variable(location: tuple[int | str, ...]) -> str:
    """The variable's name without its prefix, followed by the path inside its JSON value."""
    return ".".join([str(location[0]).upper(), *map(str, location[1:])])
