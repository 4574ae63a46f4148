"""The doors of the house: who may write, reach the network, start tasks, threads and processes, and read time.

Each table names the rooms or files that may, and why; whoever else does it is a breach, and so is a permission that
nobody uses. The samples at the end show that each detector sees the ways through, and leaves the look-alikes alone.
"""

from __future__ import annotations

import pytest

from support.source import place_of, sources, uses_of, within
from support.ways_through import DETECTORS, hits, network_imports

WRITERS = {
    "generation/run_folder": "the door: a run's files, and `publish`, through which all others write",
    "generation/journal": "the journal, its repair, and what is recovered from it",
    "generation/intents": "the log of calls that must happen once",
    "generation/control": "the socket in a run's folder, which is no file that could be published",
    "generation/limits/shared": "the file through which processes share their buckets, outside of any run",
    "generation/endpoint/embedded": "the weights: a cache and no run's files; pipes to the model's process",
    "specs/records/spool": "what can be read only once, for as long as the process lives",
    "specs/records/whole_file": "the cache of sources: their indexes, and what a large file's fields are called",
    "specs/source_index": "the index of a source: a cache, from which a run takes its own",
    "generation/mirror/restore": "a folder that is no run yet, and was begun for another mirror",
    "generation/session/locked": "a run that never was leaves no folder: it goes before its lock is released",
    "data/quality/similar": "sketches of answers, in a nameless temporary file",
    "data/charts": "into memory: the picture's bytes are published by those who asked for it",
    "data/dataset/export/parquet": "into a file that is being published",
    "data/dataset/assemble/previous_folder": "removes what the new data set replaces, where nobody has changed it",
    "tune/finetune/local": "the trainer's folder: a job outlives the process, and has its own log and lock",
    "lab/bench": "a sweep's own folder, which is gone afterwards, and what its server said",
    "view/web/page_copy": "a copy of a run to send to somebody: a folder of its own, outside of any run",
    "cli/standard_streams": "the null device, where a standard stream was closed",
    "cli/new_files": "a new spec, where no file stands yet",
}
NETWORK = {
    "generation/endpoint": "the door: completions, fine-tuning jobs, the embedded model",
    "generation/mirror/storage": "obstore, which ships a run's folder to object storage",
    "specs/records/hub": "huggingface_hub, which downloads a source's files",
    "lab/simulator/http": "the simulated server",
    "generation/control": "a Unix socket in the run's folder",
    "view/web/server": "the page: uvicorn, on this machine unless a person says otherwise",
    "generation/run_folder/lock": "the host's name, for people; nothing is connected",
}
TASKS = {
    "generation/engine": "the door: whoever wants calls side by side asks the engine",
    "generation/cluster/home": "a session whose engines are in other processes: its journal and its pulse",
    "view/web/server": "the page's server, which runs while its block does",
    "view/web/tune_commands": "takes in what a command says that a person has started from the page",
    "view/web/playground": "a question, which ends with whoever reads its answers; the model that is open for the next",
}
THREADS = {
    "core/event_loop": "a blocking call in a notebook, whose own loop is at work already",
    "generation/journal/write/syncs": "the syncs' own thread: neither the loop nor the next write waits for one",
    "generation/journal/write/writer": "the disk's own thread: a batch a hop",
    "generation/mirror/keeper": "ships a run's folder, and waits for storage that no run waits for",
    "generation/journal/sidecar/keeper": "waits for the process below",
    "generation/endpoint/embedded": "verifies weights off the loop; in children, a watch for the parent's end",
    "generation/cluster/local_placer": "one a worker: waits for what comes over its pipe, and for its end",
    "generation/cluster/pipe": "waits for home, so that one that is stopped holds up no call in flight",
    "generation/session/sync_runner": "a run in a notebook, whose own loop is at work already",
    "tune/finetune/local/backend": "looks at models and copies files off the loop",
    "view/web/routes": "reads journals and writes marks off the page's loop",
    "view/web/playground_routes": "reads a run's folder, and prices, off the page's loop",
    "view/web/tune_routes": "looks at fine-tunes off the page's loop",
    "view/web/control_routes": "waits for a run's reply off the page's loop",
    "view/web/quality_routes": "looks how far a check is off the page's loop",
    "view/web/beside_server": "waits for the end of the process that started it",
}
PROCESSES = {
    "generation/endpoint/embedded": "pip, which fetches the weights, and the model's own server",
    "tune/finetune/local/backend": "the trainer",
    "tune/finetune/local/trainer": "detaches itself from whoever started it",
    "tune/finetune/local/memory": "NVIDIA's tool says how much memory is free",
    "generation/cluster/local_placer": "the workers of `run --processes`, and their pipes",
    "generation/cluster/pipe": "a worker's end of its pipe",
    "generation/journal/own_process": "a large run is verified on all cores, and its sidecars are written beside it",
    "view/web/folder_process": "the check of a run's rows, a minute of work that is none of the server's; and the page "
    "beside a run, which never waits for it",
    "view/web/tune_commands": "a command of this package that a person has started from the page",
    "cli/browser": "the person's browser, asked to show a report",
    "lab/bench/server_process": "the simulated server, on a core of its own",
}
TIME = {
    "core/clock": "the door",
    "cli/show_command": "sleeps between two looks for rows that are written meanwhile",
    "generation/endpoint/http/answer_deadlines": "they are timers of the loop, so they go by the loop's time",
    "generation/endpoint/http/plain_transport": "as above: a connect's deadline, and how long a connection is idle",
    "generation/endpoint/http/tls_transport": "as above: what is left of a call's time when the loop can't connect",
    "generation/limits/shared/shared_ledger": "sleeps while another process holds the file's lock for a moment",
    "generation/run_folder/lock": "sleeps while another process looks at the lock for a moment",
}
DOORS = {
    "writes": WRITERS,
    "network": NETWORK,
    "tasks": TASKS,
    "threads": THREADS,
    "processes": PROCESSES,
    "time": TIME,
}


def found_at(door: str) -> dict[str, list[str]]:
    """{place: what its code does there}."""
    found: dict[str, list[str]] = {}
    for path in sources():
        uses = [*DETECTORS[door](uses_of(path)), *(network_imports(path) if door == "network" else ())]
        if uses:
            found[place_of(path)] = [f"line {line}: {what}" for line, what in sorted(set(uses))]
    return found


@pytest.mark.parametrize("door", DOORS)
def test_a_door_is_passed_only_by_those_who_may(door: str) -> None:
    """Whoever may do it stands in the door's table, with the reason."""
    assert {} == {place: uses for place, uses in found_at(door).items() if not within(place, *DOORS[door])}


@pytest.mark.parametrize("door", DOORS)
def test_no_permission_outlives_its_use(door: str) -> None:
    """A place that no longer does it loses its line in the table."""
    found = found_at(door)
    assert [] == [place for place in DOORS[door] if not any(within(each, place) for each in found)]


WAYS_THROUGH = {
    "writes": (
        "open('a', 'w')",
        "open('a', 'wb')",
        "open('a', mode='ab')",
        "open('a', 'r+b')",
        "open('a', mode)",
        "import io\nio.open('a', 'x')",
        "path.open('w')",
        "path.open('ab')",
        "path.open('x', encoding='utf-8')",
        "path.open(mode='r+')",
        "path.open(mode=kind)",
        "disk.open(path, 'wb')",
        "import gzip\ngzip.open(path, 'wb')",
        "from gzip import open as pack\npack(path, 'wt')",
        "import zipfile\nzipfile.ZipFile(path, 'a')",
        "import tarfile\ntarfile.open(path, 'w:gz')",
        "import aiofiles\naiofiles.open(path, 'ab')",
        "import os\nos.open(path, os.O_WRONLY)",
        "import os\nos.open(path, os.O_RDWR | os.O_CREAT, 0o600)",
        "import os\nos.open(path, FLAGS)",
        "import os\nos.fdopen(descriptor, 'wb')",
        "import os\nos.write(descriptor, data)",
        "from os import pwrite\npwrite(descriptor, data, 0)",
        "import os\nos.replace(a, b)",
        "from os import replace\nreplace(a, b)",
        "import os as system\nsystem.rename(a, b)",
        "import os\nremove = os.unlink",
        "path.replace(other)",
        "Path('a').rename('b')",
        "path.unlink(missing_ok=True)",
        "path.mkdir(parents=True)",
        "path.rmdir()",
        "path.symlink_to(other)",
        "path.touch()",
        "path.write_text(text)",
        "path.write_bytes(data)",
        "file.truncate(0)",
        "from pathlib import Path\nlist(map(Path.unlink, paths))",
        "import shutil\nshutil.copyfileobj(a, b)",
        "from shutil import copyfile\ncopyfile(a, b)",
        "import shutil\nshutil.move(a, b)",
        "from shutil import rmtree as forget\nforget(folder)",
        "import shutil\nawait asyncio.to_thread(shutil.copy, a, b)",
        "import tempfile\ntempfile.NamedTemporaryFile()",
        "from tempfile import mkstemp\nmkstemp()",
        "import mmap\nmmap.mmap(descriptor, 100)",
        "import mmap\nmmap.mmap(descriptor, 100, access=mmap.ACCESS_WRITE)",
        "figure.savefig(path)",
        "model.save_pretrained(folder)",
        "def later():\n    import shutil\n    shutil.rmtree('a')",
    ),
    "network": (
        "loop.create_server(factory, 'localhost', 80)",
        "asyncio.start_server(handler)",
        "from asyncio import open_connection\nopen_connection('localhost', 80)",
        "self._loop.create_connection(factory)",
        "loop.create_unix_server(factory, path)",
        "loop.add_reader(descriptor, callback)",
        "loop.add_writer(descriptor, callback)",
        "import socket\nsocket.socket()",
        "from socket import socket as plug\nplug()",
        "import socket\nsocket.create_connection(address)",
        "await loop.sock_sendall(sock, data)",
        "loop.sock_connect(sock, address)",
        "from urllib.request import urlopen\nurlopen(url)",
    ),
    "tasks": (
        "asyncio.create_task(work())",
        "group.create_task(work())",
        "from asyncio import gather\ngather(a, b)",
        "import asyncio as aio\naio.ensure_future(work())",
        "async def f():\n    async with asyncio.TaskGroup() as group: ...",
        "start = loop.create_task",
        "asyncio.run_coroutine_threadsafe(work(), loop)",
    ),
    "threads": (
        "import threading\nthreading.Thread(target=f)",
        "from threading import Thread as T\nT(target=f)",
        "import threading\nthreading.Timer(1, f)",
        "from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor(1)",
        "import concurrent.futures\nconcurrent.futures.ThreadPoolExecutor(1)",
        "import asyncio\nasyncio.to_thread(f)",
        "loop.run_in_executor(None, f)",
        "asyncio.get_running_loop().run_in_executor(None, f)",
    ),
    "processes": (
        "import subprocess\nsubprocess.run(['a'])",
        "from subprocess import Popen\nPopen(['a'])",
        "import subprocess\nstart = subprocess.Popen",
        "import asyncio\nasyncio.create_subprocess_exec('a')",
        "import os\nos.fork()",
        "import os\nos.system('a')",
        "import webbrowser\nwebbrowser.open(url)",
        "from webbrowser import open_new_tab as show\nshow(url)",
        "import os\nos.execv('a', [])",
        "import os\nos.posix_spawn('a', [], {})",
        "from multiprocessing import Process\nProcess(target=f)",
        "import multiprocessing\nmultiprocessing.get_context('spawn')",
        "from concurrent.futures import ProcessPoolExecutor\nProcessPoolExecutor()",
        "loop.subprocess_exec(factory, 'a')",
    ),
    "time": (
        "import time\ntime.time()",
        "import time\ntime.monotonic()",
        "import time\nstart = time.perf_counter_ns()",
        "from time import time_ns\ntime_ns()",
        "from time import sleep\nsleep(1)",
        "from time import monotonic as now\nnow()",
        "import time as t\nread = t.monotonic",
        "from datetime import datetime\ndatetime.now(UTC)",
        "import datetime\ndatetime.datetime.utcnow()",
        "from datetime import datetime as dt\ndt.today()",
        "from datetime import date\ndate.today()",
        "loop.time()",
        "self._loop.time()",
        "asyncio.get_running_loop().time()",
        "now = asyncio.get_event_loop().time",
    ),
}
LOOK_ALIKES = {
    "writes": (
        "open('a')",
        "open('w', encoding='utf-8')",
        "open('a', 'rb')",
        "path.open()",
        "path.open('rb')",
        "path.open(encoding='utf-8', newline='')",
        "window.open(now, area, count)",
        "import gzip\ngzip.open(path, 'rt')",
        "import tarfile\ntarfile.open(path, 'r:gz')",
        "import os\nos.open(path, os.O_RDONLY | os.O_CLOEXEC)",
        "import os\nos.fdopen(descriptor)",
        "'a'.replace('b', 'c')",
        "wall.replace(microsecond=0)",
        "from dataclasses import replace\nreplace(record, count=1)",
        "import dataclasses\ndataclasses.replace(record)",
        "table.rename(columns=names)",
        "import shutil\nshutil.which('a')",
        "import tempfile\ntempfile.gettempdir()",
        "import mmap\nmmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)",
        "def f(child: subprocess.Popen[bytes], move: tempfile.TemporaryFile) -> None: ...",
    ),
    "network": ("def f(plug: socket.socket) -> None: ...", "server.connect(client)", "plan.socket"),
    "tasks": ("tasks.create(work)", "gathered = 1"),
    "threads": ("import threading\nthreading.Event()", "def f(t: threading.Thread) -> None: ...", "x: Thread"),
    "processes": ("import subprocess\nsubprocess.PIPE", "import os\nos.getpid()", "engine.run(plan)", "self.fork()"),
    "time": ("clock.now()", "self.clock.wall()", "wall.time()", "asyncio.sleep(1)", "import time\ntime.struct_time"),
}


@pytest.mark.parametrize(("door", "sample"), [(door, each) for door in DOORS for each in WAYS_THROUGH[door]])
def test_a_way_through_is_seen(door: str, sample: str) -> None:
    """However a name was imported, and whether it is called here or handed on."""
    assert hits(sample, door)


@pytest.mark.parametrize(("door", "sample"), [(door, each) for door in DOORS for each in LOOK_ALIKES[door]])
def test_what_only_looks_alike_is_left_alone(door: str, sample: str) -> None:
    """A check that cries wolf would be silenced."""
    assert [] == hits(sample, door)
