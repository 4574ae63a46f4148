"""Write anew what is derived from the code and held to it by the house tests: `python tests/write_derived.py`."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATHS = os.pathsep.join(map(str, (HERE, HERE.parent / "src")))
# The keywords first: they are code, and the reference of the API reads them.
WRITERS = ("test_settings.py", "test_readme.py", "test_api_reference.py", "test_architecture.py")

for name in WRITERS:
    subprocess.run([sys.executable, HERE / "house" / name], env={**os.environ, "PYTHONPATH": PATHS}, check=True)
