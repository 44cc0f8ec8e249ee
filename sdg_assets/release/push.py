"""Uploads a release to the Hub as a private dataset repository.

A push is one commit: the files are uploaded first, and the commit makes all of them visible at
once. (`upload_folder` of the Hub's client splits a large or slow upload into several commits, so
an interrupted push left half a release.) The error of a failed push says which release the
repository has; the next push reuses the files that were already uploaded. The commit then gets the
release's version as its tag, so that `revision="v1.2.0"` loads it for good. A tag is never moved.

The Hub's client passes on the errors of its parts: `httpx2` errors, a `ValueError` if the LFS
server refuses a file, a `RuntimeError` around a failed upload, and errors of `hf_xet`. All of them
carry the innermost error, whose HTTP status or type tells which kind of failure it is.
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
CONFLICT = 409
_BUSY = frozenset({408, 409, 412, 425, 429})
"""HTTP statuses below 500 that a retry may cure."""
_XET_STATUS = re.compile(r"HTTP status (?:client|server) error \((\d{3})\b")
_FULL = re.compile(r"(?i)quota|storage limit|too large|exceed|payment|billing")


def push(release: Place, repository: str) -> str:
    """Uploads a release as one commit. A missing repository is created as a private one.

    Args:
        release: The release's directory or prefix in a bucket.
        repository: `organization/name`. The token comes from `HF_TOKEN`.

    Returns:
        The URL of the commit, or of the repository if the response to the commit was lost.

    Raises:
        PermanentError: The token is missing or may not write there, the Hub refuses the files, or
            the repository has the version's tag at another release.
        TransientError: The Hub cannot be reached or failed.
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
        current = _release_in(hub, repository)
        if current != release.name:
            raise _explained(error, repository, _state(current, release.name)) from error
        url, revision = f"{hub.endpoint}/datasets/{repository}", None
    else:
        url, revision = str(commit.commit_url), str(commit.oid)
    if version := json.loads((release / MANIFEST).read_bytes()).get("version"):
        _tag(hub, repository, f"v{version}", release.name, revision)
    return url


def _tag(hub: HfApi, repository: str, tag: str, release: str, revision: str | None) -> None:
    """Tags a commit; None: the last one. A tag that is there must name the same release."""
    from huggingface_hub.errors import HTTPError

    message = f"Release {release}"
    try:
        hub.create_tag(
            repository, tag=tag, tag_message=message, revision=revision, repo_type="dataset"
        )
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        if _status(_innermost(error)) != CONFLICT:
            state = f"the repository holds release {release}, whole, without its tag {tag}"
            raise _explained(error, repository, f"{state}; push again to set it") from error
        tagged = _release_in(hub, repository, tag)
        if tagged == release:
            return
        other = f"release {tagged}" if tagged else "another commit"
        raise PermanentError(
            f"push to {repository}: its tag {tag} names {other}, and is not moved; the repository "
            f"now holds release {release} without a tag. A repository takes the releases of one "
            "store: remove the tag, or push to another repository"
        ) from error


def _operations(
    hub: HfApi, folder: Path, release: str, repository: str
) -> list[CommitOperationAdd | CommitOperationDelete]:
    """Adds every file of the release and removes all other files of the repository."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    files = {f.relative_to(folder).as_posix(): f for f in folder.rglob("*") if f.is_file()}
    # Shards of an earlier release must not stay beside the new ones.
    existing = hub.list_repo_files(repository, repo_type="dataset")
    left_over = [name for name in existing if name not in files and name != KEPT]
    contents: dict[str, Path | bytes] = dict(sorted(files.items()))
    if card := files.get(CARD):
        text = for_repository(card.read_text("utf-8"), release, repository)
        contents[CARD] = text.encode()
    return [
        *(CommitOperationDelete(name) for name in left_over),
        *(CommitOperationAdd(name, content) for name, content in contents.items()),
    ]


def _release_in(hub: HfApi, repository: str, revision: str | None = None) -> str | None:
    """The id of the release at a revision, by default the last commit.

    Returns:
        Empty if there is no release, None if the Hub cannot be asked.
    """
    from huggingface_hub.errors import HTTPError, RemoteEntryNotFoundError

    try:
        with tempfile.TemporaryDirectory(prefix="sdg-") as directory:
            manifest = hub.hf_hub_download(
                repository,
                MANIFEST,
                repo_type="dataset",
                revision=revision,
                local_dir=directory,
                etag_timeout=ASK_SECONDS,
            )
            return str(json.loads(Path(manifest).read_bytes())["release"])
    except RemoteEntryNotFoundError:
        return ""
    except (HTTPError, OSError, ValueError, RuntimeError, KeyError, TypeError):
        return None


def _state(current: str | None, release: str) -> str:
    """One sentence about what the repository holds after a failed push."""
    if current is None:
        return (
            "the Hub did not answer which release the repository holds; it holds all files of "
            f"{release} or none"
        )
    content = f"release {current}, whole" if current else "no release"
    return (
        f"the repository holds {content}, and nothing of {release}; the next push reuses the files "
        "that were uploaded"
    )


def _explained(error: Exception, repository: str, state: str) -> SdgError:
    """Turns an error of the Hub's client into a permanent or transient one of one sentence."""
    kind, problem = _classified(_innermost(error), error)
    return kind(f"push to {repository}: {problem}; {state}")


def _innermost(error: BaseException) -> BaseException:
    """Follows the causes to the first one with an HTTP status, else to the last one."""
    while error.__cause__ is not None and _status(error) is None:
        error = error.__cause__
    return error


def _classified(cause: BaseException, error: Exception) -> tuple[type[SdgError], str]:
    """The kind of an error, permanent or transient, and a sentence about it."""
    from huggingface_hub import errors

    text = " ".join(str(cause).split())[:300]
    status = _status(cause)
    if "metadata in README.md" in str(error):
        return PermanentError, f"the Hub refused the card: {' '.join(str(error).split())[:300]}"
    if isinstance(cause, errors.LocalTokenNotFoundError):
        return PermanentError, "set HF_TOKEN, with write access"
    if isinstance(cause, PermissionError) or status in (401, 403, 404):
        problem = f"HTTP {status}" if status else text
        return PermanentError, f"{problem}; HF_TOKEN must be allowed to write there"
    if isinstance(cause, errors.OfflineModeIsEnabled):
        return PermanentError, "HF_HUB_OFFLINE forbids it; unset it"
    if isinstance(cause, errors.HFValidationError):
        return PermanentError, f"SDG_PUSH_TO is not organization/name ({text})"
    if status in (402, 507) or (status is None and _FULL.search(str(error))):
        return PermanentError, f"the Hub accepts no more files: {text}"
    if status is not None:
        is_refusal = status < 500 and status not in _BUSY
        verb = "refused it" if is_refusal else "failed"
        return (
            PermanentError if is_refusal else TransientError,
            f"the Hub {verb}: HTTP {status}: {text}",
        )
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            PermanentError,
            "no space left in the temporary directory; set TMPDIR to a larger one",
        )
    return TransientError, f"{type(cause).__name__}: {text}"


def _status(error: BaseException) -> int | None:
    """The HTTP status of an error, if it has one. Errors of `hf_xet` have it only in their text."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return status
    match = _XET_STATUS.search(str(error)) if isinstance(error, OSError | RuntimeError) else None
    return int(match[1]) if match else None
