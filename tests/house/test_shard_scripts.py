"""The scripts of docs/shards.md do what they say: they are read by a shell, checked by a schema, and run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from support.fake_server import FakeServer
from support.places import ROOT
from support.runs import command, environment, herogen, small_spec, write_spec

PAGE = (ROOT / "docs" / "shards.md").read_text()
SHARDS = 16


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def closed(required: list[str], **properties: Any) -> dict[str, Any]:
    """A JSON Schema of an object that has no other fields."""
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def each(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": item}


TEXT, COUNT = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 1}
NAMED = closed(["name"], name={"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"})
# batch/v1 of Kubernetes 1.33 and later, with the fields that the page has: a name that is misspelt or stands elsewhere
# is refused, which the API server would do, too, or silently drop.
EXIT_CODES = closed(
    ["operator", "values"],
    containerName={"const": "shard"},
    operator={"enum": ["In", "NotIn"]},
    values=each({"type": "integer", "minimum": 0, "maximum": 255}),
)
RULE = closed(["action"], action={"enum": ["FailIndex", "FailJob", "Ignore", "Count"]}, onExitCodes=EXIT_CODES)
SECRET = closed(["secretKeyRef"], secretKeyRef=closed(["name", "key"], name=TEXT, key=TEXT))
VARIABLE = closed(["name"], name={"type": "string", "pattern": "^[A-Z_]+$"}, value=TEXT, valueFrom=SECRET)
AMOUNTS = closed([], cpu={"type": "string", "pattern": r"^\d+m?$"}, memory={"type": "string", "pattern": r"^\d+[MG]i$"})
CONTAINER = closed(
    ["name", "image", "command", "args"],
    name={"const": "shard"},
    image=TEXT,
    command=each(TEXT),
    args=each(TEXT),
    env=each(VARIABLE),
    resources=closed([], requests=AMOUNTS, limits=AMOUNTS),
    volumeMounts=each(closed(["name", "mountPath"], name=TEXT, mountPath={"type": "string", "pattern": "^/"})),
)
VOLUME = closed(["name"], name=TEXT, persistentVolumeClaim=closed(["claimName"], claimName=TEXT))
POD = closed(
    ["restartPolicy", "containers"],
    restartPolicy={"const": "Never"},  # a failure policy for pods needs it
    terminationGracePeriodSeconds=COUNT,
    containers=each(CONTAINER),
    volumes=each(VOLUME),
)
JOB = closed(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "batch/v1"},
    kind={"const": "Job"},
    metadata=NAMED,
    spec=closed(
        ["completionMode", "completions", "template"],
        completionMode={"const": "Indexed"},
        completions={"const": SHARDS},
        parallelism=COUNT,
        backoffLimitPerIndex=COUNT,
        podFailurePolicy=closed(["rules"], rules=each(RULE)),
        template=closed(["spec"], spec=POD),
    ),
)


def job() -> dict[str, Any]:
    (text,) = blocks("yaml")
    found = YAML(typ="safe").load(text)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder for PATH, in which `herogen-async` is this one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "herogen-async").write_text(f'#!/bin/sh\nexec {" ".join(command())} "$@"\n')
    (folder / "herogen-async").chmod(0o755)
    return folder


def ran(words: list[str], folder: Path, program: Path, url: str, **more: str) -> None:
    known = environment(BASE_URL=url, MODEL="m", **more)
    known["PATH"] = f"{program}:{known['PATH']}"
    ended = subprocess.run(words, cwd=folder, env=known, capture_output=True, text=True, timeout=100, check=False)
    assert 0 == ended.returncode, ended.stderr


@pytest.mark.parametrize("script", blocks("bash"), ids=["array", "merge"])
def test_a_shell_reads_each_script(script: str) -> None:
    """`bash -n` finds no fault."""
    read = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, timeout=10, check=False)
    assert (0, "") == (read.returncode, read.stderr)


def test_the_job_is_one_by_its_schema() -> None:
    """Each field stands where Kubernetes looks for it, and names agree."""
    found = job()
    jsonschema.validate(found, JOB)
    pod = found["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {each["name"] for each in pod["volumes"]} == {each["name"] for each in container["volumeMounts"]}
    assert f"/{SHARDS}" in container["args"][0]


def test_a_misspelt_field_of_the_job_would_be_found() -> None:
    """The schema is closed all the way down."""
    found = job()
    found["spec"]["template"]["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(jsonschema.ValidationError, match="volumeMount"):
        jsonschema.validate(found, JOB)


@pytest.mark.slow
def test_the_array_runs_its_shards_and_the_second_script_merges_them(tmp_path: Path, program: Path) -> None:
    """With Slurm's variables, the first and the last task; `merge` by the names that the tasks have given."""
    script, then = blocks("bash")
    assert f"--array=1-{SHARDS}" in script
    (tmp_path / "heroes.sbatch").write_text(script)
    write_spec(tmp_path, small_spec(values=8)).rename(tmp_path / "heroes.yaml")  # JSON is YAML, too
    with FakeServer() as server:
        for task in ("1", str(SHARDS)):
            ran(["bash", "heroes.sbatch"], tmp_path, program, server.url, SLURM_ARRAY_TASK_ID=task)
        asked = {each.prompt for each in server.asked}
    assert {"Describe a 20-year-old man.", "Describe a 27-year-old woman."} == asked
    (wrapped,) = re.findall(r'--wrap "(.*)"', then)
    ended = subprocess.run(
        ["bash", "-c", wrapped],
        cwd=tmp_path,
        env=environment(PATH=f"{program}:/usr/bin:/bin"),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (3, True) == (ended.returncode, "4 of 32 rows -> runs/heroes: 28 missing." in ended.stdout), ended.stderr


@pytest.mark.slow
def test_the_pods_of_the_job_run_its_shards(tmp_path: Path, program: Path) -> None:
    """As the container's command says, with the index that Kubernetes gives: from 0 on."""
    (container,) = job()["spec"]["template"]["spec"]["containers"]
    (mount,) = container["volumeMounts"]
    words = [*container["command"], *container["args"]]
    write_spec(tmp_path, small_spec(values=8)).rename(tmp_path / "heroes.yaml")
    with FakeServer() as server:
        for index in ("0", str(SHARDS - 1)):
            here = [word.replace(f"{mount['mountPath']}/", f"{tmp_path}/") for word in words]
            ran(here, tmp_path, program, server.url, JOB_COMPLETION_INDEX=index)
    told = [herogen("status", tmp_path / "runs" / f"heroes-{shard}", cwd=tmp_path).stdout for shard in (1, SHARDS)]
    assert all(
        f"2 of 2 rows (shard {shard}/{SHARDS} of 32)" in each for shard, each in zip((1, SHARDS), told, strict=True)
    )
