"""The legacy tool (openai 0.28.1) in an environment of its own: a file a line on stdin, what became of it on stdout."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

warnings.filterwarnings("ignore")

import builtins  # noqa: E402

from openai import cli, validators  # type: ignore[attr-defined]  # noqa: E402

INDICATOR = re.compile(r"indicator string `(.*?)` for the model", re.DOTALL)
STOP = re.compile(r'include `stop=\["(.*?)"\]` so that', re.DOTALL)


class Watch:
    """Notes each fix as the tool does or offers it, and answers its questions."""

    def __init__(self) -> None:
        self.fixes: list[tuple[str, str]] = []
        self.answers: list[str] = []
        self.optional = validators.apply_optional_remediation

    def apply(self, df: Any, remediation: Any, auto_accept: bool) -> Any:
        for kind, text in (("recommended", remediation.optional_msg), ("necessary", remediation.necessary_msg)):
            if text is not None:
                self.fixes.append((kind, text))
        return self.optional(df, remediation, auto_accept)

    def answer(self, *_prompt: object) -> str:
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)


def prepared(watch: Watch, file: str, answers: list[str] | None) -> dict[str, Any]:
    watch.fixes, watch.answers = [], list(answers or [])
    before = set(Path(file).parent.iterdir())
    said = io.StringIO()
    exit_code, crash = 0, None
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            cli.FineTune.prepare_data(SimpleNamespace(file=file, quiet=answers is None))
    except SystemExit as ended:
        exit_code = int(ended.code or 0)
    except Exception as error:  # a crash of the tool is a result
        exit_code, crash = 1, repr(error)[:200]
    text = said.getvalue()
    outputs = set(Path(file).parent.iterdir()) - before
    indicator, stop = INDICATOR.search(text), STOP.search(text)
    return {
        "exit": exit_code,
        "crash": crash,
        "fixes": watch.fixes,
        "split": "split into training and validation set?" in text,
        "indicator": indicator.group(1) if indicator else "",
        "stop": stop.group(1) if stop else "",
        "outputs": {path.name: path.read_text(encoding="utf-8") for path in outputs},
        "said": text[-500:],
    }


def main() -> None:
    watch = Watch()
    validators.apply_optional_remediation = watch.apply
    builtins.input = watch.answer
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(prepared(watch, asked["file"], asked["answers"])), flush=True)


if __name__ == "__main__":
    main()
