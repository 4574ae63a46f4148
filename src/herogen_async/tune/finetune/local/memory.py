"""How much memory and time a local training takes, before it takes it: arithmetic, checked against measured runs."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from herogen_async.tune.options import FULL, LORA

RANK = 16
# Bytes. Fitted to runs of the embedded model with torch 2.13, transformers 5.23 and trl 1.16 on a processor, in 32-bit
# floats: 1 x 192 tokens 1.89 GB, 4 x 192 3.71, 8 x 219 7.03.
_LIBRARIES = 0.65e9  # the libraries themselves, once they are imported
_FLOAT = 4
_ADAM = 3 * _FLOAT  # a gradient and two moments for every parameter that is trained
# Floats kept for the way back, a token and layer: the layer's inputs, norms, projections and their adapters' inputs.
_KEPT_HIDDEN, _KEPT_FORWARD = 21, 6
_KEPT_VOCABULARY = 3  # the scores of every word: as they are, their softmax, and its gradient
_SPARE = 1.1  # estimates are off by a tenth; being killed by the system costs more than a smaller batch

_START_S = 45.0  # imports and dequantising, on a processor that is free
# Of the embedded model's own training on two AVX-512 cores: 14.5 s a step of 8 rows. A faster machine of the same kind
# needed 6: better a forecast that is too long.
_FLOP_PER_CORE_S = 45e9
_FLOP_A_PARAMETER = {LORA: 4, FULL: 6}  # forward and back; frozen weights need no gradient of their own


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A model's size. `context_tokens` is the most that it takes, None when its files don't say."""

    parameters: int
    layers: int
    hidden: int
    feed_forward: int
    vocabulary: int
    heads: int
    kv_heads: int
    context_tokens: int | None = None

    @property
    def lora_parameters(self) -> int:
        """Of adapters on the seven linear maps of every layer."""
        kv = self.hidden * self.kv_heads // self.heads
        sides = 2 * (self.hidden + self.hidden) + 2 * (self.hidden + kv) + 3 * (self.hidden + self.feed_forward)
        return RANK * self.layers * sides

    def trained(self, method: str) -> int:
        return self.lora_parameters if method == LORA else self.parameters


def peak_bytes(shape: ModelShape, method: str, batch: int, tokens: int) -> int:
    """What training takes at most, for `batch` rows of `tokens` tokens at once."""
    fixed = _LIBRARIES + shape.parameters * _FLOAT + shape.trained(method) * (_ADAM + _FLOAT * (method == LORA))
    a_layer = _KEPT_HIDDEN * shape.hidden + _KEPT_FORWARD * shape.feed_forward
    a_token = shape.layers * a_layer + _KEPT_VOCABULARY * shape.vocabulary
    return int(fixed + batch * tokens * a_token * _FLOAT)


def fitting_batch(shape: ModelShape, method: str, *, batch: int, tokens: int, free: int) -> int:
    """The most rows at once, of those that divide `batch`, that fit into `free` bytes; 0 when not even one does.

    The rest of a batch follows before the weights move (gradient accumulation), so that the result is the same.
    """
    sizes = [size for size in range(batch, 0, -1) if batch % size == 0]
    return next((size for size in sizes if peak_bytes(shape, method, size, tokens) * _SPARE <= free), 0)


def training_time_s(shape: ModelShape, method: str, *, tokens: int, cores: int) -> float:
    """About how long `tokens` tokens, padding and repeats included, take on `cores` cores of a processor."""
    return _START_S + tokens * shape.parameters * _FLOP_A_PARAMETER[method] / (_FLOP_PER_CORE_S * cores)


def disk_bytes(shape: ModelShape, method: str, kept: int) -> int:
    """What `kept` checkpoints and the result take: weights and two moments each."""
    return int(shape.trained(method) * _FLOAT * (3 * (kept + 1) + 2))


def free_bytes() -> int:
    """What a new process may take here now: the machine's free memory, or what its limits leave of it.

    They are the control group's, and the shell's own (`ulimit -v`).
    """
    free = _free_on_machine()
    left = [room for room in map(_left_in_group, _groups()) if room is not None]
    address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
    if address_space != resource.RLIM_INFINITY:
        left.append(address_space)
    return min([free, *left])


def gpu_free_bytes() -> int | None:
    """The free memory of the emptiest GPU that NVIDIA's own tool sees; None when there is none."""
    if (tool := shutil.which("nvidia-smi")) is None:
        return None
    query = [tool, "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        said = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout  # noqa: S603
        return max(int(line) for line in said.split()) << 20
    return None


def _free_on_machine() -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2  # macOS says no more without asking the kernel


def _groups() -> list[Path]:
    """This process's control groups: its own (version 2), or the memory one (version 1), and what a container shows."""
    roots = [Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")]
    found = list(roots)
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kinds, place = line.split(":", 2)
            if kinds in ("", "memory"):
                found.append(roots[bool(kinds)] / place.lstrip("/"))
    return found


def _left_in_group(group: Path) -> int | None:
    """The group's limit less what it uses; what it uses for files is given back when it is needed."""
    names = ("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")
    for limit, used in names:
        with contextlib.suppress(OSError, ValueError):
            most, now = int((group / limit).read_text()), int((group / used).read_text())
            return max(0, most - now + _for_files(group))
    return None


def _for_files(group: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return int(stat.get("inactive_file", 0)) + int(stat.get("active_file", 0))
    return 0
