"""The ways through each door of the house, as they are found in a file's code.

A way through is found by what a name resolves to (`from os import replace` is `os.replace`), and for methods of objects
whose type can't be read by the method's name and how it is called. Annotations are no use of what they name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from support.source import Hit, Uses, imports, written


def named(uses: Uses, wanted: frozenset[str]) -> Iterator[Hit]:
    """Every use of one of `wanted`; one that ends with `.*` stands for all of a module."""
    modules = tuple(each.removesuffix("*") for each in wanted if each.endswith(".*"))
    for line, name in uses.names:
        if name in wanted or (modules and name.startswith(modules)):
            yield line, name


def methods(uses: Uses, wanted: frozenset[str]) -> Iterator[Hit]:
    """Every call of a method, or a function of any module, that has one of these names."""
    for node, name in uses.calls:
        if name.rpartition(".")[2] in wanted and not name.startswith("herogen_async."):
            yield node.lineno, name


# -- writing: files and folders made, changed or removed

_WRITERS = frozenset(
    {
        *(
            f"os.{name}"
            for name in (
                "chmod",
                "copy_file_range",
                "ftruncate",
                "link",
                "makedirs",
                "mkdir",
                "mkfifo",
                "posix_fallocate",
                "pwrite",
                "pwritev",
                "remove",
                "removedirs",
                "rename",
                "renames",
                "replace",
                "rmdir",
                "sendfile",
                "symlink",
                "truncate",
                "unlink",
                "utime",
                "write",
                "writev",
            )
        ),
        *(f"pathlib.Path.{name}" for name in ("unlink", "mkdir", "rmdir", "rename", "replace", "touch", "write_bytes")),
        "shutil.*",
        "tempfile.*",
        "sqlite3.connect",
        "gguf.GGUFWriter",
        "pyarrow.parquet.ParquetWriter",
        "pyarrow.parquet.write_table",
        "torch.save",
        "safetensors.torch.save_file",
    }
)
_READING_SHUTIL = {"shutil.which", "shutil.disk_usage", "shutil.get_terminal_size"}
_READING_TEMPFILE = {"tempfile.gettempdir", "tempfile.tempdir"}
_WRITING_METHODS = frozenset(
    {
        "chmod",
        "hardlink_to",
        "mkdir",
        "rmdir",
        "rmtree",
        "save_model",
        "save_pretrained",
        "savefig",
        "symlink_to",
        "to_csv",
        "to_parquet",
        "touch",
        "truncate",
        "unlink",
        "write_bytes",
        "write_text",
    }
)
# Their mode is the second argument; that of a method `open` is the first, or the second beside a path.
_OPENERS = {
    "open",
    "builtins.open",
    "io.open",
    "io.FileIO",
    "codecs.open",
    "os.fdopen",
    "aiofiles.open",
    "gzip.open",
    "gzip.GzipFile",
    "bz2.open",
    "bz2.BZ2File",
    "lzma.open",
    "lzma.LZMAFile",
    "tarfile.open",
    "zipfile.ZipFile",
}
_MODE = re.compile(r"[rwaxbtU+]{1,4}|[rwax][:|](gz|bz2|xz|\*)?")
_READING_FLAGS = {"O_RDONLY", "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK"}


def writes(uses: Uses) -> Iterator[Hit]:
    """Every way to make, change or remove a file or a folder."""
    for line, name in named(uses, _WRITERS):
        if name not in _READING_SHUTIL | _READING_TEMPFILE:
            yield line, name
    yield from methods(uses, _WRITING_METHODS)
    for node, name in uses.calls:
        if _opens_to_write(node, name) or _moves(node, name, uses) or _maps_to_write(node, name):
            yield node.lineno, ast.unparse(node)


def _argument(node: ast.Call, position: int, keyword: str) -> ast.expr | None:
    by_keyword = next((each.value for each in node.keywords if each.arg == keyword), None)
    return by_keyword or (node.args[position] if position < len(node.args) else None)


def _opens_to_write(node: ast.Call, name: str) -> bool:
    if name == "os.open":
        flags = _argument(node, 1, "flags")
        named_flags = {each.attr for each in ast.walk(flags) if isinstance(each, ast.Attribute)} if flags else set()
        return not named_flags or not named_flags <= _READING_FLAGS  # what can't be read here may write
    if name in _OPENERS:
        mode = _argument(node, 1, "mode")
        return mode is not None and not (isinstance(mode, ast.Constant) and _reads(mode.value))
    if not name.endswith(".open"):
        return False
    mode = next((each.value for each in node.keywords if each.arg == "mode"), None)
    if mode is not None and not isinstance(mode, ast.Constant):
        return True
    values = [each.value for each in (*node.args[:2], mode) if isinstance(each, ast.Constant)]
    return any(isinstance(value, str) and _MODE.fullmatch(value) and not _reads(value) for value in values)


def _reads(mode: object) -> bool:
    return isinstance(mode, str) and not set(mode.partition(":")[0]) & set("wax+")


def _moves(node: ast.Call, name: str, uses: Uses) -> bool:
    """`path.replace(other)` and `path.rename(other)`; `replace` of a text, a date or a record takes other arguments."""
    method = name.rpartition(".")[2]
    is_one = len(node.args) == 1 and not node.keywords and not isinstance(node.args[0], ast.Starred)
    return "." in name and method in ("replace", "rename") and is_one and not uses.is_imported(name)


def _maps_to_write(node: ast.Call, name: str) -> bool:
    if name != "mmap.mmap":
        return False
    kinds = [written(value) for key in ("access", "prot") if (value := _argument(node, 9, key))]
    return not kinds or not all(kind.endswith(("ACCESS_READ", "PROT_READ")) for kind in kinds)


# -- the network

_NETWORK_MODULES = frozenset(
    {"socket", "httptools", "http.client", "http.server", "urllib.request", "pyreqwest", "openai", "httpx2", "httpx"}
    | {"aiohttp", "requests", "socketserver", "ssl", "smtplib", "ftplib", "xmlrpc", "websockets", "huggingface_hub"}
)
_NETWORK_METHODS = frozenset(
    {
        "add_reader",
        "add_writer",
        "connect_accepted_socket",
        "create_connection",
        "create_datagram_endpoint",
        "create_server",
        "create_unix_connection",
        "create_unix_server",
        "getaddrinfo",
        "open_connection",
        "open_unix_connection",
        "sendto",
        "sock_accept",
        "sock_connect",
        "sock_recv",
        "sock_recv_into",
        "sock_sendall",
        "sock_sendfile",
        "start_server",
        "start_tls",
        "start_unix_server",
        "urlopen",
        "urlretrieve",
    }
)


def network_imports(path: Path) -> Iterator[Hit]:
    """Every import of a module that can reach another machine, or listen for one."""
    for line, module in imports(path):
        if any(module == each or module.startswith(f"{each}.") for each in _NETWORK_MODULES):
            yield line, module


def connects(uses: Uses) -> Iterator[Hit]:
    """Every connection, listening socket and watch on a descriptor."""
    yield from named(uses, frozenset({"socket.*"}))
    yield from methods(uses, _NETWORK_METHODS)


# -- tasks, threads, processes

_TASKS = frozenset({"create_task", "ensure_future", "gather", "TaskGroup", "as_completed", "run_coroutine_threadsafe"})
_THREADS = frozenset(
    {
        "asyncio.to_thread",
        "concurrent.futures.ThreadPoolExecutor",
        "concurrent.futures.thread.ThreadPoolExecutor",
        "threading.Thread",
        "threading.Timer",
        "_thread.start_new_thread",
        "multiprocessing.pool.ThreadPool",
    }
)
_PROCESSES = frozenset(
    {
        *(f"subprocess.{name}" for name in ("Popen", "run", "call", "check_call", "check_output", "getoutput")),
        "subprocess.getstatusoutput",
        "asyncio.create_subprocess_exec",
        "asyncio.create_subprocess_shell",
        "concurrent.futures.ProcessPoolExecutor",
        "concurrent.futures.process.ProcessPoolExecutor",
        *(f"os.{name}" for name in ("fork", "forkpty", "popen", "posix_spawn", "posix_spawnp", "system")),
        *(f"os.exec{kind}" for kind in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
        *(f"os.spawn{kind}" for kind in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
        *(f"webbrowser.{name}" for name in ("open", "open_new", "open_new_tab", "get")),
        "pty.fork",
        "pty.spawn",
    }
)
_PROCESS_METHODS = frozenset({"subprocess_exec", "subprocess_shell", "Process", "Pool"})


def starts_tasks(uses: Uses) -> Iterator[Hit]:
    """Every start of a task beside the one that is running."""
    for line, name in uses.names:
        if name.rpartition(".")[2] in _TASKS:
            yield line, name


def starts_threads(uses: Uses) -> Iterator[Hit]:
    """Every thread, and every call that is handed to one."""
    yield from named(uses, _THREADS)
    yield from methods(uses, frozenset({"run_in_executor"}))


def starts_processes(uses: Uses) -> Iterator[Hit]:
    """Every other process."""
    yield from named(uses, _PROCESSES)
    yield from named(uses, frozenset({"multiprocessing.*"}))
    for line, name in methods(uses, _PROCESS_METHODS):
        if name.startswith(("multiprocessing", "?", "self")) or "context" in name or "loop" in name:
            yield line, name


# -- time

_CLOCKS = frozenset(
    {
        *(f"time.{name}{ns}" for name in ("time", "monotonic", "perf_counter", "process_time") for ns in ("", "_ns")),
        *(f"time.{name}" for name in ("thread_time", "thread_time_ns", "clock_gettime", "clock_gettime_ns")),
        *(f"time.{name}" for name in ("sleep", "localtime", "gmtime", "ctime", "strftime")),
        *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
        "datetime.date.today",
    }
)


def reads_time(uses: Uses) -> Iterator[Hit]:
    """Every reading of a clock, the event loop's too, and every sleep that blocks."""
    yield from named(uses, _CLOCKS)
    for line, name in uses.names:
        owner, _, last = name.rpartition(".")
        if last == "time" and (owner.lower().endswith("loop") or owner == "?"):
            yield line, name


DETECTORS: dict[str, Callable[[Uses], Iterator[Hit]]] = {
    "writes": writes,
    "network": connects,
    "tasks": starts_tasks,
    "threads": starts_threads,
    "processes": starts_processes,
    "time": reads_time,
}


def hits(snippet: str, door: str) -> list[Hit]:
    """What a detector finds in a piece of source."""
    return sorted(DETECTORS[door](Uses(ast.parse(snippet))))
