"""The Hugging Face Hub, with its failures sorted into permanent and transient ones."""

from __future__ import annotations

import errno
from pathlib import Path

from sdg_assets.addresses import masked
from sdg_assets.errors import PermanentError, SdgError, TransientError
from sdg_assets.sources.hub_limits import limit_hub_calls

LOOK_UP_SECONDS = 5.0  # long enough for a slow proxy, short enough to fall back to packages
# Configuration, tokenizer, chat template and their code: a few megabytes.
TOKENIZER_FILES = ["*.json", "*.jinja", "*.model", "*.tiktoken", "*.txt", "*.py"]
# Other formats of the same weights, which vLLM does not load.
OTHER_FORMATS = ["original/*", "metal/*", "*.gguf", "*.onnx", "*.pth", "*.h5", "*.msgpack"]


def look_up(model: str, revision: str) -> str:
    """Asks the Hub for the commit of a revision.

    Args:
        model: Hub id, `org/name`.
        revision: Branch, tag or commit.

    Returns:
        The full commit hash.

    Raises:
        PermanentError: No such model or revision, no access, or `HF_HUB_OFFLINE=1`.
        TransientError: The Hub is not reached, or fails.
    """
    from huggingface_hub import HfApi

    limit_hub_calls()
    try:
        commit = HfApi().model_info(model, revision=revision, timeout=LOOK_UP_SECONDS).sha
    except Exception as error:
        raise _explained(error, model, revision) from error
    return commit or revision


def cached(model: str, revision: str) -> Path | None:
    """Finds the snapshot on this machine's disk, without asking the Hub.

    Args:
        model: Hub id.
        revision: Branch, tag or commit.

    Returns:
        The snapshot's directory, named after the commit; None if it is absent or incomplete.

    Raises:
        PermanentError: The id is malformed.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        directory = snapshot_download(
            model, revision=revision, ignore_patterns=OTHER_FORMATS, local_files_only=True
        )
    except LocalEntryNotFoundError:
        return None
    except Exception as error:
        raise _explained(error, model, revision) from error
    return Path(directory)


def download(model: str, revision: str) -> Path:
    """Downloads the snapshot, unless it is on disk already.

    Args:
        model: Hub id.
        revision: Branch, tag or commit.

    Returns:
        The snapshot's directory, named after the commit.

    Raises:
        PermanentError: No such model or revision, no access, no disk space, or
            `HF_HUB_OFFLINE=1` and the model is not on disk.
        TransientError: The Hub is not reached, or fails.
    """
    from huggingface_hub import snapshot_download

    limit_hub_calls()
    try:
        return Path(snapshot_download(model, revision=revision, ignore_patterns=OTHER_FORMATS))
    except Exception as error:
        raise _explained(error, model, revision) from error


def download_tokenizer(model: str, revision: str) -> Path:
    """Downloads what it takes to build prompts, without the weights; for the rest see `download`.

    Returns:
        The snapshot's directory, named after the commit.
    """
    from huggingface_hub import snapshot_download

    limit_hub_calls()
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=TOKENIZER_FILES))
    except Exception as error:
        raise _explained(error, model, revision) from error


def _explained(error: Exception, model: str, revision: str) -> SdgError:
    from huggingface_hub import constants, errors

    page = f"{masked(constants.ENDPOINT)}/{model}"
    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else None
    if isinstance(error, errors.HFValidationError):
        return PermanentError(f"{model}: not a hub id ({error})")
    if isinstance(error, errors.GatedRepoError) or status in {401, 403}:
        # The Hub also answers 401 for a repository that does not exist.
        return PermanentError(
            f"{model}: no access. Accept its terms at {page} and set HF_TOKEN to a token of that"
            " account; if the page does not exist, the name is wrong"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return PermanentError(f"{model}: no revision {revision!r}; see {page}/commits")
    if status == 404:
        return PermanentError(f"{model}: not at {page}; misspelled, or private (set HF_TOKEN)")
    if constants.HF_HUB_OFFLINE:
        return PermanentError(
            f"{model}@{revision}: not on this disk, and HF_HUB_OFFLINE forbids downloading it"
        )
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return PermanentError(
            f"{model}: no space left in {constants.HF_HUB_CACHE}; free some, or set HF_HUB_CACHE"
        )
    words = masked(f"{type(error).__name__}: {error}")
    return TransientError(f"{model}: {page} is not reached ({words})")
