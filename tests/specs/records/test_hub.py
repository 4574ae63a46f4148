"""Data sets on the hub: which of their files are read. Without a network, from the hub's own cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from herogen_async.core.errors import InputError
from herogen_async.specs.plan import Plan
from herogen_async.specs.records.hub import chosen_files, hub_commit, hub_files
from herogen_async.specs.source_index.spec_cells import source_records
from herogen_async.specs.spec import Spec

constants = pytest.importorskip("huggingface_hub.constants")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The cache of huggingface_hub with one data set, offline."""
    own = tmp_path / "datasets--owner--name"
    snapshot = own / "snapshots" / COMMIT
    (snapshot / "data").mkdir(parents=True)
    (own / "refs").mkdir()
    (own / "refs" / "main").write_text(COMMIT)
    (snapshot / "data" / "train-00000-of-00001.jsonl").write_text('{"q": "a"}\n')
    (snapshot / "data" / "test-00000-of-00001.jsonl").write_text('{"q": "b"}\n')
    (snapshot / "README.md").write_text("# name")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    hub_files.cache_clear()
    yield tmp_path
    hub_files.cache_clear()


@pytest.mark.usefixtures("cache")
def test_a_split_of_a_data_set_in_the_cache_is_read_offline() -> None:
    """Its commit is known, for the manifest."""
    (found,) = hub_files("owner/name", split="train")
    assert '{"q": "a"}\n' == found.read_text()
    assert COMMIT == hub_commit(found)


@pytest.mark.usefixtures("cache")
def test_a_spec_asks_about_a_data_set_on_the_hub() -> None:
    """What a run pins of it is its commit, beside the content."""
    spec = Spec(name="a", source={"path": "hf:owner/name", "split": "train"}, attributes={}, prompt="{q}")
    plan = Plan(spec, endpoint="chat", model="m")
    assert (1, "a") == (plan.size, plan.call(0).prompt)
    records = source_records(plan.cells)
    assert records is not None
    assert COMMIT == records.pin()["revision"]


@pytest.mark.usefixtures("cache")
def test_which_split_is_never_guessed() -> None:
    """It is asked for, with the names."""
    with pytest.raises(InputError, match="several splits") as refused:
        hub_files("owner/name")
    assert "test, train" in (refused.value.fix or "")
    with pytest.raises(InputError, match="no split 'dev'"):
        hub_files("owner/name", split="dev")


@pytest.mark.usefixtures("cache")
def test_what_is_not_in_the_cache_can_not_be_had_offline() -> None:
    """In a sentence, whatever the library raises."""
    with pytest.raises(InputError, match="'hf:owner/other' can't be fetched"):
        hub_files("owner/other")


FILES = ["README.md", "a/train.csv", "b/train.csv", "dataset_infos.json", "a/img.png"]


def test_a_folder_of_a_data_set_may_be_named() -> None:
    """Where a data set holds several."""
    assert ["a/train.csv"] == chosen_files(FILES, "a", None, "hf:o/n")
    assert ["a/train.csv", "b/train.csv"] == chosen_files(FILES, "", "train", "hf:o/n")
    assert ["b/train.csv"] == chosen_files(FILES, "b/train.csv", None, "hf:o/n")
    with pytest.raises(InputError, match="no files of records"):
        chosen_files(FILES, "c", None, "hf:o/n")
