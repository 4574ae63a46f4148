"""Data sets on the Hugging Face hub: their files, downloaded once to the hub's own cache.

What is asked for is a file of records, not a program: scripts of a data set are never run. HF_HUB_OFFLINE, HF_HOME and
HF_TOKEN are huggingface_hub's own, and hold here.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path, PurePosixPath

from herogen_async.core.errors import InputError

_DATA = (".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv")
_NO_DATA = ("dataset_info.json", "dataset_infos.json", "state.json")
_COMMIT = re.compile(r"/snapshots/([0-9a-f]{40})/")
_SPLITS = ("train", "training", "validation", "valid", "val", "dev", "test", "testing", "eval", "evaluation")
_WORDS = re.compile(r"[^/_.\-]+")


@cache  # a plan asks more than once
def hub_files(name: str, *, split: str | None = None, revision: str | None = None) -> list[Path]:
    """The files of the data set `owner/name`, or below a folder of it: `owner/name/folder`.

    Raises InputError where it can't be had, or where it doesn't say which of several splits is meant.
    """
    owner, _, rest = name.partition("/")
    own, _, folder = rest.partition("/")
    if not owner or not own:
        raise InputError(f"'hf:{name}' is not a data set", fix="write hf:owner/name")
    try:
        import huggingface_hub  # noqa: PLC0415 - an extra, and 0.3 s
        from huggingface_hub import constants  # noqa: PLC0415
        from huggingface_hub.errors import HFValidationError  # noqa: PLC0415
    except ImportError:
        raise InputError(
            f"'hf:{name}' is on the Hugging Face hub, and huggingface_hub is not installed",
            fix="pip install 'herogen-async[hub]'",
        ) from None
    repository = f"{owner}/{own}"
    kept = _kept(repository, revision) if constants.HF_HUB_OFFLINE else None
    try:
        if kept is None:
            names = huggingface_hub.HfApi().list_repo_files(repository, repo_type="dataset", revision=revision)
    except HFValidationError as error:
        raise InputError(f"'hf:{name}' is not a data set: {error}", fix="write hf:owner/name") from None
    except Exception as error:
        if (kept := _kept(repository, revision)) is None:
            raise _unreachable(name, error) from None
    if kept is not None:
        names = [str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()]
        return [kept / each for each in chosen_files(names, folder, split, f"hf:{name}")]
    chosen = chosen_files(names, folder, split, f"hf:{name}")
    try:
        return [
            Path(huggingface_hub.hf_hub_download(repository, each, repo_type="dataset", revision=revision))
            for each in chosen
        ]
    except Exception as error:
        raise _unreachable(name, error) from None


def hub_commit(path: Path) -> str | None:
    """The commit of the data set that a file in the hub's cache is of."""
    found = _COMMIT.search(path.as_posix())
    return None if found is None else found[1]


def chosen_files(names: list[str], folder: str, split: str | None, shown: str) -> list[str]:
    """Those of a data set's files that hold the records of `split`, in order. Raises InputError."""
    data = sorted(
        each
        for each in names
        if each.lower().endswith(_DATA) and PurePosixPath(each).name not in _NO_DATA and _is_below(each, folder)
    )
    if not data:
        raise InputError(f"{shown!r} has no files of records", fix=f"it needs one that ends in {', '.join(_DATA)}")
    by_split: dict[str | None, list[str]] = {}
    for each in data:
        words = [word.lower() for word in _WORDS.findall(each)]
        named = split if split is not None and split.lower() in words else None
        by_split.setdefault(named or next((word for word in words if word in _SPLITS), None), []).append(each)
    there = [str(each) for each in by_split if each is not None]
    if split is not None:
        if split not in by_split:
            raise InputError(f"{shown!r} has no split {split!r}", fix=f"choose: {', '.join(there) or 'leave it out'}")
        return by_split[split]
    if len(there) > 1:
        raise InputError(f"{shown!r} has several splits", fix=f"write `split:` with one of {', '.join(there)}")
    return data


def _is_below(name: str, folder: str) -> bool:
    return not folder or name == folder or name.startswith(folder.rstrip("/") + "/")


def _kept(repository: str, revision: str | None) -> Path | None:
    """The data set's folder in the cache, from which nothing is downloaded."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - as above

    try:
        return Path(snapshot_download(repository, repo_type="dataset", revision=revision, local_files_only=True))
    except Exception:
        return None


def _unreachable(name: str, error: Exception) -> InputError:
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return InputError(
        f"'hf:{name}' can't be fetched: {said}",
        fix="check the name; for a gated data set set HF_TOKEN; offline it has to be in the cache of huggingface_hub",
    )
