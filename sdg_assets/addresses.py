"""Addresses that may hold a user's name and password: never shown, only used.

Whoever names a server as `http://user:password@host` wants the password sent to that server and
nowhere else: not into logs, metadata, file names or the run database.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from sdg_assets.errors import TeacherError

HIDDEN = "***"
BUCKET_URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<key>.*))?")
_IS_URL = re.compile(r"https?://", re.IGNORECASE)
# Greedy up to the last @ before a space: a password may hold @, / and : without being escaped.
# In `hf://datasets/org/name@commit` a commit follows the @.
_USERINFO = re.compile(r"(?<=://)(?<!hf://)[^\s'\"]*@")


class Credentials(NamedTuple):
    """A user's name and password, as HTTP's basic authentication takes them."""

    user: str
    password: str


def is_url(text: str) -> bool:
    """Whether a teacher's name is the address of a server."""
    return _IS_URL.match(text) is not None


def split_credentials(url: str) -> tuple[str, Credentials | None]:
    """The address without the name and password in it, and these.

    Args:
        url: `http://host`, or `http://user:password@host`; percent escapes are decoded.
    """
    userinfo = _USERINFO.search(url)
    if not userinfo:
        return url, None
    user, _, password = userinfo[0][:-1].partition(":")
    bare = url[: userinfo.start()] + url[userinfo.end() :]
    return bare, Credentials(unquote(user), unquote(password))


def masked(text: str) -> str:
    """A text that can be shown: what stands between `://` and `@` is hidden."""
    return _USERINFO.sub(f"{HIDDEN}@", text)


def checked_server(url: str) -> str:
    """The address of a server, or a clear error. It holds no credentials any more.

    Raises:
        TeacherError: It cannot be an address.
    """
    import httpx

    problem = ""
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        problem = str(error)
    else:
        if not is_url(url) or not parts.host or " " in url:
            problem = "it has no host"
        elif not 0 < (parts.port or 80) < 65536:
            problem = f"there is no port {parts.port}"
        elif parts.query or parts.fragment:
            problem = "it has a query"
            url = url.partition("?")[0].partition("#")[0]
    if problem:
        raise TeacherError(
            f"teacher {masked(url)}: not the address of a server ({problem}); write it as "
            "http://host:port"
        )
    return url
