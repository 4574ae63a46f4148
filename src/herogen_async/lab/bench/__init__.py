"""How fast can it go? Measures the cells of a sweep with real runs, and forecasts grids in virtual time.

```
cells_of(concurrency, rpm=..., tpm=..., latency_ms=...) -> cells            every combination, checked
bench_simulated(spec, cells, simulated, ...) -> Bench                       a simulator and a run for each cell
bench_endpoint(spec, cells, endpoint, ...) -> Bench                         ... against an existing server
foresee(spec, rows, cell, simulated) -> GridForecast, raises(...) -> [Raise]    the same engine in virtual time
```
"""

from herogen_async.lab.bench.driver import bench_endpoint, bench_simulated
from herogen_async.lab.bench.grid_forecast import GridForecast, Raise
from herogen_async.lab.bench.measure import MeasuredEndpoint
from herogen_async.lab.bench.recommend import recommend
from herogen_async.lab.bench.records import Advice, Bench, Cell, Measured, Moment, Setting
from herogen_async.lab.bench.sweep import Simulated, cells_of
from herogen_async.lab.bench.virtual_time import foresee, raises

__all__ = [
    "Advice",
    "Bench",
    "Cell",
    "GridForecast",
    "Measured",
    "MeasuredEndpoint",
    "Moment",
    "Raise",
    "Setting",
    "Simulated",
    "bench_endpoint",
    "bench_simulated",
    "cells_of",
    "foresee",
    "raises",
    "recommend",
]
