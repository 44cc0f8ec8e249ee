"""A release on the Hub, as a private dataset repository."""

from __future__ import annotations

from sdg_assets.errors import PermanentError, TransientError
from sdg_assets.hub_limits import limit_hub_calls
from sdg_assets.places import Place, local_copy


def push(release: Place, repository: str) -> str:
    """Uploads a release as one commit; the repository is created private where there is none.

    Args:
        release: Its directory, or its prefix of a bucket.
        repository: `organization/name`. The token comes from `HF_TOKEN`.

    Returns:
        The address of the commit.

    Raises:
        PermanentError: The token is missing, or may not write there.
        TransientError: The Hub is not reached.
    """
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    limit_hub_calls()
    hub = HfApi()
    try:
        hub.create_repo(repository, repo_type="dataset", private=True, exist_ok=True)
        with local_copy(release) as folder:
            commit = hub.upload_folder(
                repo_id=repository,
                folder_path=folder,
                repo_type="dataset",
                commit_message=f"Release {release.name}",
                delete_patterns="*",  # shards of an earlier release must not stay beside these
            )
    except LocalTokenNotFoundError as error:
        raise PermanentError(f"push to {repository}: set HF_TOKEN, with write access") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403, 404):
            raise PermanentError(
                f"push to {repository}: HTTP {status}; HF_TOKEN must be allowed to write there"
            ) from error
        raise TransientError(f"push to {repository}: HTTP {status}") from error
    except httpx.TransportError as error:
        raise TransientError(f"push to {repository}: {type(error).__name__}: {error}") from error
    return str(commit.commit_url)
