"""A release on the Hub, as a private dataset repository.

A push is one commit: its files are uploaded first and stand in the repository all at once, or not
at all. (`upload_folder` of the Hub's client makes several of a large or slow one, so that a push
cut in half left half a release.) A push that fails says which release the repository holds; what
it had uploaded is found again by the next one.

The Hub's client raises what its parts raise: `httpx2` errors, a `ValueError` for what the LFS
server refuses, a `RuntimeError` around a failed upload, and `hf_xet`'s own. They are told apart by
the HTTP status or the kind of the innermost one, which all of them carry.
"""

from __future__ import annotations

import errno
import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sdg_assets.errors import PermanentError, SdgError, TransientError
from sdg_assets.release.card import for_repository
from sdg_assets.release.publication import MANIFEST
from sdg_assets.sources.hub_limits import limit_hub_calls
from sdg_assets.store.places import Place, local_copy

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

CARD, KEPT = "README.md", ".gitattributes"
ASK_SECONDS = 10.0
_BUSY = frozenset({408, 409, 412, 425, 429})
"""HTTP statuses below 500 that another try may not meet again."""
_XET_STATUS = re.compile(r"HTTP status (?:client|server) error \((\d{3})\b")
_FULL = re.compile(r"(?i)quota|storage limit|too large|exceed|payment|billing")


def push(release: Place, repository: str) -> str:
    """Uploads a release as one commit; the repository is created private where there is none.

    Args:
        release: Its directory, or its prefix of a bucket.
        repository: `organization/name`. The token comes from `HF_TOKEN`.

    Returns:
        The address of the commit; of the repository, where the answer to the commit was lost.

    Raises:
        PermanentError: The token is missing or may not write there, or the Hub refuses the files.
        TransientError: The Hub is not reached, or failed.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError

    limit_hub_calls()
    hub = HfApi()
    try:
        hub.create_repo(repository, repo_type="dataset", private=True, exist_ok=True)
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        raise _explained(error, repository, "nothing was uploaded") from error
    try:
        with local_copy(release) as folder:
            commit = hub.create_commit(
                repository,
                _operations(hub, folder, release.name, repository),
                commit_message=f"Release {release.name}",
                repo_type="dataset",
            )
    except SdgError:
        raise
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        held = _release_in(hub, repository)
        if held == release.name:
            return f"{hub.endpoint}/datasets/{repository}"
        raise _explained(error, repository, _what_is_there(held, release.name)) from error
    return str(commit.commit_url)


def _operations(
    hub: HfApi, folder: Path, release: str, repository: str
) -> list[CommitOperationAdd | CommitOperationDelete]:
    """Adds every file of the release, and removes what the repository holds besides."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    files = {f.relative_to(folder).as_posix(): f for f in folder.rglob("*") if f.is_file()}
    # Shards of an earlier release must not stay beside these.
    there = hub.list_repo_files(repository, repo_type="dataset")
    left_over = [name for name in there if name not in files and name != KEPT]
    contents: dict[str, Path | bytes] = dict(sorted(files.items()))
    if card := files.get(CARD):
        text = for_repository(card.read_text("utf-8"), release, repository)
        contents[CARD] = text.encode()
    return [
        *(CommitOperationDelete(name) for name in left_over),
        *(CommitOperationAdd(name, content) for name, content in contents.items()),
    ]


def _release_in(hub: HfApi, repository: str) -> str | None:
    """The release that a repository holds; empty if it holds none, None if it cannot be asked."""
    from huggingface_hub.errors import HTTPError, RemoteEntryNotFoundError

    try:
        with tempfile.TemporaryDirectory(prefix="sdg-") as directory:
            manifest = hub.hf_hub_download(
                repository,
                MANIFEST,
                repo_type="dataset",
                local_dir=directory,
                etag_timeout=ASK_SECONDS,
            )
            return str(json.loads(Path(manifest).read_bytes())["release"])
    except RemoteEntryNotFoundError:
        return ""
    except (HTTPError, OSError, ValueError, RuntimeError, KeyError, TypeError):
        return None


def _what_is_there(held: str | None, release: str) -> str:
    if held is None:
        return f"what the repository holds could not be asked; of {release} it is all or nothing"
    there = f"release {held}, whole" if held else "no release"
    return (
        f"the repository holds {there}, and nothing of {release}; files that were uploaded are "
        "found again by the next push"
    )


def _explained(error: Exception, repository: str, there: str) -> SdgError:
    """A failure of the Hub's client as one sentence, told apart: for good, or for now."""
    kind, problem = _told_apart(_innermost(error), error)
    return kind(f"push to {repository}: {problem}; {there}")


def _innermost(error: BaseException) -> BaseException:
    """The first cause, or the last one with an HTTP status."""
    while error.__cause__ is not None and _status(error) is None:
        error = error.__cause__
    return error


def _told_apart(cause: BaseException, error: Exception) -> tuple[type[SdgError], str]:
    from huggingface_hub import errors

    text = " ".join(str(cause).split())[:300]
    status = _status(cause)
    if "metadata in README.md" in str(error):
        return PermanentError, f"the Hub refused the card: {' '.join(str(error).split())[:300]}"
    if isinstance(cause, errors.LocalTokenNotFoundError):
        return PermanentError, "set HF_TOKEN, with write access"
    if isinstance(cause, PermissionError) or status in (401, 403, 404):
        what = f"HTTP {status}" if status else text
        return PermanentError, f"{what}; HF_TOKEN must be allowed to write there"
    if isinstance(cause, errors.OfflineModeIsEnabled):
        return PermanentError, "HF_HUB_OFFLINE forbids it; unset it"
    if isinstance(cause, errors.HFValidationError):
        return PermanentError, f"SDG_PUSH_TO is no organization/name ({text})"
    if status in (402, 507) or (status is None and _FULL.search(str(error))):
        return PermanentError, f"the Hub takes no more files: {text}"
    if status is not None:
        refused = status < 500 and status not in _BUSY
        verb = "refused it" if refused else "failed"
        return (
            PermanentError if refused else TransientError,
            f"the Hub {verb}: HTTP {status}: {text}",
        )
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            PermanentError,
            "no space left in the temporary directory; set TMPDIR to a larger one",
        )
    return TransientError, f"{type(cause).__name__}: {text}"


def _status(error: BaseException) -> int | None:
    """The HTTP status of a failure; `hf_xet` has it in its text alone."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return status
    found = _XET_STATUS.search(str(error)) if isinstance(error, OSError | RuntimeError) else None
    return int(found[1]) if found else None
