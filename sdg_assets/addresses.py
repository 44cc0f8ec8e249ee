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


_LISTENING = re.compile(r"(?:(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]*):)?(?P<port>\d{1,5})")
LOOPBACK = "127.0.0.1"
LAST_PORT = 65535


class Listening(NamedTuple):
    """Where a server of this process listens."""

    host: str
    port: int
    """0: any free port."""

    @property
    def is_on_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in (LOOPBACK, "localhost", "::1")

    @classmethod
    def of(cls, text: str) -> Listening:
        """Reads a port, or `host:port`; without a host it is on loopback.

        Raises:
            ValueError: It is neither.
        """
        match = _LISTENING.fullmatch(text.strip())
        if not match or int(match["port"]) > LAST_PORT:
            raise ValueError("is neither a port nor host:port; write 9464, or 0.0.0.0:9464")
        return cls((match["host"] or LOOPBACK).strip("[]"), int(match["port"]))


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
    problem = server_fault(url)
    if "," in url:
        problem = "it has a comma; several servers are http://a,http://b"
    if problem:
        shown = masked(url.partition("?")[0].partition("#")[0])
        raise TeacherError(
            f"teacher {shown}: not the address of a server ({problem}); write it as "
            "http://host:port"
        )
    return url


def server_fault(url: str) -> str:
    """What is wrong with the form of a server's address; empty if nothing is.

    Args:
        url: The address, without credentials.
    """
    import yarl

    try:
        parts = yarl.URL(url)
    except ValueError as error:
        return str(error)
    if not is_url(url) or not parts.raw_host or " " in url:
        return "it has no host"
    if parts.explicit_port == 0:
        return "there is no port 0"
    if parts.query_string or parts.fragment or "?" in url:
        return "it has a query"
    return ""
