"""`prepare` beside the real legacy tool, on random files: every difference is one of the mended defects, or is told.

    python benchmarks/prepare_differential.py [--files 1000] [--seed 0] [--show 5]

The tool (openai 0.28.1 with pandas 1.5.3) is installed on first use in an environment of its own, under
~/.cache/herogen-async/bench/legacy-prepare (some 150 MB). Exit code 1 when a difference is not explained.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

import prepare_files
from herogen_async.cli import app

HERE = Path(__file__).parent
HOME = Path.home() / ".cache" / "herogen-async" / "bench" / "legacy-prepare"
REQUIREMENTS = ("openai==0.28.1", "pandas==1.5.3", "numpy<2", "openpyxl")

Told = dict[str, Any]

FIXES = (
    (r"Your format `(\w+)` will be converted to `JSONL`", "convert_format", str),
    (r"Lower case column name to `(\w+)`", "rename_column", str),
    (r"Remove additional columns/keys: (.*)", "drop_columns", ast.literal_eval),
    (r"Remove (\d+) rows with empty completions", "drop_empty_completions", int),
    (r"Remove (\d+) duplicate rows", "drop_duplicates", int),
    (r"Remove (\d+) long examples", "drop_long", int),
    (r"Lowercase all your data in column/key `(\w+)`", "lowercase", str),
    (r"Add a suffix separator `(.*)` to all prompts", "prompt_separator", lambda text: text.replace("\\n", "\n")),
    (r"Remove prefix `(.*)` from all prompts", "prompt_drop_prefix", str),
    (r"Remove prefix `(.*)` from all completions", "completion_drop_prefix", str),
    (r"Add a suffix ending `(.*)` to all completions", "completion_ending", lambda text: text.replace("\\n", "\n")),
    (r"Add a whitespace character to the beginning of the completion()", "completion_leading_space", lambda _: None),
)


def environment() -> Path:
    """The Python of the tool's own environment, made when it isn't there."""
    python = HOME / "bin" / "python"
    if not (HOME / "ready").exists():
        print(f"Installing {', '.join(REQUIREMENTS)} in {HOME} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(HOME)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *REQUIREMENTS], check=True)
        (HOME / "ready").touch()
    return python


def actions(told: Told) -> list[Told]:
    """The tool's fixes in our words."""
    found = []
    for kind, text in told["fixes"]:
        for pattern, action, value in FIXES:
            match = re.fullmatch(pattern, text, re.DOTALL)
            if match:
                about = value(match.group(1))
                found.append({"kind": kind, "action": action} | ({} if about is None else {"value": about}))
                break
        else:
            raise ValueError(text)
    if told["split"]:
        found.append({"kind": "recommended", "action": "split_train_valid"})
    return found


def theirs(told: Told) -> Told:
    """What the tool said, in the shape of `ours`."""
    rows = {name: [json.loads(line) for line in text.split("\n") if line] for name, text in told["outputs"].items()}
    return {
        "exit": told["exit"],
        "actions": actions(told) if not told["exit"] else [],
        "indicator": told["indicator"],
        "stop": told["stop"],
        "rows": rows,
    }


def ours(file: Path, answers: tuple[str, ...] | None) -> tuple[Told, set[str], str]:
    """What `prepare` makes of the file; the codes of what it mended; its error."""
    words = ["prepare", "-f", str(file), "--json", *(["-q"] if answers is None else [])]
    result = CliRunner().invoke(app, words, input="".join(answer + "\n" for answer in answers or ()))
    if result.exit_code not in (0, 1) or (result.exception and not isinstance(result.exception, SystemExit)):
        return {"exit": repr(result.exception)}, set(), result.output[-300:]
    said = json.loads(result.stdout.strip().splitlines()[-1])
    if result.exit_code:
        return {"exit": 1, "actions": [], "indicator": "", "stop": "", "rows": {}}, set(), said["error"]
    outputs = map(Path, said["outputs"])
    shaped = {
        "exit": 0,
        "actions": said["actions"],
        "indicator": (said["prompt_indicator"] or "").replace("\n", "\\n"),
        "stop": (said["stop"] or "").replace("\n", "\\n"),
        "rows": {path.name: [json.loads(line) for line in path.read_bytes().splitlines()] for path in outputs},
    }
    return shaped, {each["code"] for each in said["mended"]}, ""


def differences(mine: Told, tool: Told) -> set[str]:
    """Which parts differ."""
    return {part for part in mine if mine[part] != tool.get(part)}


def explained(mine: Told, tool: Told, codes: set[str], crash: str | None, error: str) -> str | None:
    """The defect that a difference comes from; None where it is one of ours."""
    if crash:  # the tool's crash and our sentence, or our result, are never the same
        return f"the tool crashes: {crash.split('(')[0]}" if mine["exit"] in (0, 1) else None
    for code in (
        "na_words",
        "json_null",
        "one_row",
        "long_rows",
        "empty_after_cut",
        "number_cut",
        "content",
        "encoding",
    ):
        if code in codes and (code != "one_row" or tool["exit"] == 1):
            return code
    for code in ("byte_order_mark", "trailing_cells"):
        if code in codes:
            return code
    if mine["exit"] == 1 and re.search(r"has \d+ cells, and the first line", error):
        return "wide_rows"
    return _rest_is_equal(mine, tool, codes)


def _rest_is_equal(mine: Told, tool: Told, codes: set[str]) -> str | None:
    """The codes that explain the difference, when all that they don't touch is equal."""
    mine, tool = json.loads(json.dumps(mine)), json.loads(json.dumps(tool))
    if "accidental_separator" in codes:
        _without(mine, tool, "prompt_separator", "prompt", "indicator")
    if "accidental_ending" in codes:
        _without(mine, tool, "completion_ending", "completion", "stop")
    if "separator_core" in codes:
        mine["indicator"] = tool["indicator"]
    if "ending_core" in codes:
        mine["stop"] = tool["stop"]
    if "one_row" in codes:
        mine["indicator"], mine["stop"] = tool["indicator"], tool["stop"]
    if "hexadecimal" in codes:
        for each in (mine, tool):
            each["actions"] = [fix for fix in each["actions"] if fix["action"] != "lowercase"]
            each["rows"] = json.loads(json.dumps(each["rows"]).lower())
            each["indicator"], each["stop"] = each["indicator"].lower(), each["stop"].lower()
    return None if differences(mine, tool) else " + ".join(sorted(codes)) or None


def _without(mine: Told, tool: Told, action: str, column: str, mark: str) -> None:
    """Take back what the mended rule added."""
    added = [str(fix["value"]) for fix in mine["actions"] if fix["action"] == action]
    mine["actions"] = [fix for fix in mine["actions"] if fix["action"] != action]
    for rows in mine["rows"].values():
        for row in rows:
            for each in added:
                row[column] = row[column].removesuffix(each)
    mine[mark] = tool[mark]


def aligned(answers: tuple[str, ...] | None, mine: Told, codes: set[str]) -> list[str] | None:
    """The answers in the order of the tool's questions, which are fewer or more where a rule is mended."""
    if answers is None or mine["exit"] != 0:
        return answers and list(answers)
    asked = [
        f"lowercase {fix['value']}" if fix["action"] == "lowercase" else fix["action"]
        for fix in mine["actions"]
        if fix["kind"] == "recommended"
    ]
    given = dict(zip(asked, answers, strict=False))
    rest = list(answers[len(asked) :])
    if "accidental_separator" in codes:
        given.pop("prompt_separator", None)
    if "accidental_ending" in codes:
        given.pop("completion_ending", None)
    if "empty_after_cut" in codes:
        given = {**given, "completion_drop_prefix": "n"}
        last = ("completion_drop_prefix", "completion_ending", "completion_leading_space", "split_train_valid")
        given = {
            action: given[action]
            for action in (*(each for each in given if each not in last), *last)
            if action in given
        }
    return [*given.values(), *rest]


def compare(worker: subprocess.Popen[str], case: prepare_files.Case) -> tuple[str, str, str]:
    """(verdict, defect, what differs)."""
    assert worker.stdin
    assert worker.stdout
    with tempfile.TemporaryDirectory() as left, tempfile.TemporaryDirectory() as right:
        for folder in (left, right):
            Path(folder, case.name).write_bytes(case.content)
        mine, codes, error = ours(Path(right, case.name), case.answers)
        asked = {"file": str(Path(left, case.name)), "answers": aligned(case.answers, mine, codes)}
        worker.stdin.write(json.dumps(asked) + "\n")
        worker.stdin.flush()
        told = json.loads(worker.stdout.readline())
    tool = theirs(told)
    apart = differences(mine, tool)
    if not apart:
        return "equal", "", ""
    defect = explained(mine, tool, codes, told["crash"], error)
    if not defect and case.answers and "hexadecimal" in codes:  # the tool asked about the case, so all answers shift
        defect = "hexadecimal"
    if defect:
        return "mended", defect, ""
    parts = {part: (str(mine[part])[-400:], str(tool.get(part))[-400:]) for part in sorted(apart)}
    return (
        "DIFFERENT",
        "",
        f"{case.name} {case.answers} codes={codes} error={error!r} {parts} tool: {told['said'][-200:]!r}",
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=5, help="how many unexplained differences to print")
    options = parser.parse_args()
    python = environment()
    verdicts: Counter[str] = Counter()
    defects: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    began = time.monotonic()
    quiet = os.environ | {"PYTHONUTF8": "1"}
    with subprocess.Popen(
        [str(python), str(HERE / "legacy_prepare.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=quiet,
    ) as worker:
        for seed in range(options.seed, options.seed + options.files):
            case = prepare_files.case(seed)
            verdict, defect, what = compare(worker, case)
            verdicts[verdict] += 1
            kinds[case.name.rpartition(".")[2].lower()] += 1
            if defect:
                defects[defect] += 1
            if what and verdicts[verdict] <= options.show:
                print(f"seed {seed}: {what}\n")
    print(f"{options.files} files (seeds from {options.seed}) in {time.monotonic() - began:.0f} s: {dict(verdicts)}")
    print(f"by format: {dict(kinds.most_common())}")
    for defect, times in defects.most_common():
        print(f"  {times:5} {defect}")
    return 1 if verdicts["DIFFERENT"] else 0


if __name__ == "__main__":
    sys.exit(main())
