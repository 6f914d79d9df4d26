"""Repositories of a hub at a commit, and what to tell the user where the hub does not give them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from reproduce.utils.files import UnusableFile


def snapshot(repo: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """Return a local folder with the files of a model repository that match `patterns`.

    A local folder is returned as it is. Raises UnusableFile, with what to do, where the hub does
    not give them.
    """
    if Path(repo).is_dir():
        return Path(repo)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(patterns)))
    except Exception as error:
        raise unreachable(repo, revision, error) from error


def newest(repo: str, dataset: bool) -> str:
    """Return the newest commit of a repository; raise UnusableFile where the hub gives none."""
    from huggingface_hub import HfApi

    try:
        found = HfApi().repo_info(repo, repo_type="dataset" if dataset else "model", timeout=30)
    except Exception as error:
        raise unreachable(repo, None, error) from error
    return str(found.sha)


def unreachable(repo: str, revision: str | None, error: Exception) -> UnusableFile:
    """Return what to tell the user where a hub does not give what it is asked for."""
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    remedies = {
        GatedRepoError:
            "its owner asks for consent: accept the licence on its page, then `hf auth login`",
        RevisionNotFoundError: "it has no such revision; `reproduce pin` says which is its newest",
        RepositoryNotFoundError: "there is none, or it asks for a login (`hf auth login`)",
    }  # fmt: skip
    remedy = "check the network, HF_ENDPOINT and HF_HUB_OFFLINE, or name a local folder"
    for kind, told in remedies.items():
        named = kind is GatedRepoError and "is a gated" in str(error)
        if named or any(isinstance(cause, kind) for cause in _causes(error)):
            remedy = told
            break
    said = str(error).strip().splitlines() or [type(error).__name__]
    return UnusableFile(f"{repo} at {revision}: {said[0][:200]}; {remedy}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what led to it: libraries wrap what the hub's client says."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
