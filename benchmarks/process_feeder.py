"""A worker that asks nothing: it brings home lines that it has made before. Started by `processes.py`.

Its environment says how many feeders there are (`FEEDERS`): it brings its part of the plan's calls, each once.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from multiprocessing.connection import Connection

from herogen_async.generation.cluster.journal_at_home import FRAME_LINES
from herogen_async.generation.cluster.messages import (
    Beat,
    Frame,
    Hello,
    LaneTold,
    message_bytes,
    read_orders,
    read_welcome,
)
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.journal import row_line
from herogen_async.generation.limits import CallsWanted, Told
from herogen_async.generation.run_folder import manifest_of_data, package_versions

TEXT = "x" * 600
USAGE = {"prompt_tokens": 61, "completion_tokens": 132, "total_tokens": 193}


def main() -> None:
    number, pipe = int(sys.argv[1]), Connection(int(sys.argv[2]))
    pipe.send_bytes(message_bytes(Hello(number, package_versions()["herogen-async"])))
    manifest = manifest_of_data(read_welcome(pipe.recv_bytes()).manifest)
    plan = manifest.lineage().plan
    at, feeders = datetime.now(UTC), int(os.environ["FEEDERS"])
    mine = range((number - 1) * plan.size // feeders, number * plan.size // feeders)
    lines = [
        row_line(
            plan.call(index), Completion(TEXT, "stop", "m", USAGE, f"req_{index}"), attempts=1, latency_ms=20.0, at=at
        )
        for index in mine
    ]
    prints = [plan.grid_fingerprint, plan.generation_fingerprint, manifest.model]
    lane = [LaneTold(Told(), CallsWanted())]
    sent = frame = 0
    while True:
        batch, frame = lines[sent : sent + FRAME_LINES], frame + 1
        beat = Beat(in_flight=64, attempts=sent, latencies=[0.02] * len(batch))
        said = Frame(frame, batch, [], (sent, 0), (sent, 0), beat, lane, prints=prints, is_last=not batch)
        pipe.send_bytes(message_bytes(said))
        orders = read_orders(pipe.recv_bytes())
        sent += len(batch)
        if not batch or orders.end is not None:
            break


if __name__ == "__main__":
    main()
