"""Server addresses that may contain a user name and a password.

The password of `http://user:password@host` is sent to that server and nowhere else. It must not
reach logs, metadata, file names or the run database.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from sdg_assets.errors import TeacherError

HIDDEN = "***"
BUCKET_URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<key>.*))?")
OWNER = r"[^@\s]+@[^@\s]+\.[^@\s]+|team:[A-Za-z0-9_-]+"
"""Pattern of an owner as Dagster knows them: an e-mail address, or a team."""
_IS_URL = re.compile(r"https?://", re.IGNORECASE)
# A comma may be part of a password, so it divides two addresses only before `http://`.
_NEXT_ADDRESS = re.compile(r"\s*,\s*(?=https?://)", re.IGNORECASE)
# Greedy up to the last @ before a space, because a password may contain @, / and : unescaped.
# `hf://datasets/org/name@commit` is excluded: there a commit follows the @.
_USERINFO = re.compile(r"(?<=://)(?<!hf://)[^\s'\"]*@")


class Credentials(NamedTuple):
    """User name and password for HTTP basic authentication."""

    user: str
    password: str


def is_url(text: str) -> bool:
    """Whether a teacher's name is a server's address (`http://` or `https://`), or several."""
    return _IS_URL.match(text) is not None


def addresses_in(name: str) -> list[str]:
    """The servers' addresses in a teacher's name: `http://a`, or `http://a,http://b`."""
    return [address.strip() for address in _NEXT_ADDRESS.split(name.strip().rstrip(", "))]


def split_credentials(url: str) -> tuple[str, Credentials | None]:
    """Separates an address from the credentials in it.

    Args:
        url: `http://host`, or `http://user:password@host` with percent escapes.

    Returns:
        The address without credentials, and the decoded credentials, or None without any.
    """
    userinfo = _USERINFO.search(url)
    if not userinfo:
        return url, None
    user, _, password = userinfo[0][:-1].partition(":")
    bare = url[: userinfo.start()] + url[userinfo.end() :]
    return bare, Credentials(unquote(user), unquote(password))


def masked(text: str) -> str:
    """The text with `***` instead of credentials, i.e. of everything between `://` and `@`."""
    return _USERINFO.sub(f"{HIDDEN}@", text)


def checked_server(url: str) -> str:
    """Checks the form of a server's address.

    Args:
        url: The address, without credentials.

    Returns:
        The address, unchanged.

    Raises:
        TeacherError: It is not an `http://` or `https://` address with a host and a valid port.
    """
    import yarl

    problem = ""
    try:
        parts = yarl.URL(url)
    except ValueError as error:
        problem = str(error)
    else:
        if not is_url(url) or not parts.raw_host or " " in url:
            problem = "it has no host"
        elif parts.explicit_port == 0:
            problem = "there is no port 0"
        elif parts.query_string or parts.fragment or "?" in url:
            problem = "it has a query"
            url = url.partition("?")[0].partition("#")[0]
    if "," in url:
        problem = "it has a comma; several servers are http://a,http://b"
    if problem:
        raise TeacherError(
            f"teacher {masked(url)}: not the address of a server ({problem}); write it as "
            "http://host:port"
        )
    return url
