"""What axolotl makes of data folders: run where it is installed. Reads JSON on stdin, writes a line of it at the end.

In: `model`, an empty folder's path, and `folders`. Out: of each folder its `train` and `valid` rows, as `segments` for
supervised training, as texts for preference pairs.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

PREAMBLE = "Below is an instruction that describes a task. Write a response that appropriately completes the request."


def main() -> None:
    """Imports are here: the processes that prepare rows import this file again, and need none of it."""
    os.environ.update(AXOLOTL_DO_NOT_TRACK="1", HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")
    order, found = json.load(sys.stdin), []
    with contextlib.redirect_stdout(sys.stderr):
        import axolotl.cli.config  # noqa: F401 - before the next line, which undoes what it sets
        import multiprocess

        from support.tiny_tokenizer import model_folder

        multiprocess.set_start_method("fork", force=True)  # a new process would import all of it again

        texts = [path.read_text() for folder in order["folders"] for path in Path(folder).glob("*.jsonl")]
        model = model_folder(Path(order["model"]), [*texts, PREAMBLE, PREAMBLE])
        for folder in order["folders"]:
            os.chdir(folder)
            found.append(read(str(model)))
    print(json.dumps(found))


def read(model: str) -> dict[str, Any]:
    """The rows by the configuration in this folder, as `axolotl train` prepares them."""
    from axolotl.cli.config import load_cfg
    from axolotl.common.datasets import load_datasets, load_preference_datasets
    from axolotl.loaders import load_tokenizer

    from support.tiny_tokenizer import segments

    config = load_cfg("axolotl.yaml", base_model=model, dataset_num_proc=1)
    rows = load_preference_datasets(cfg=config) if config.rl else load_datasets(cfg=config)
    tokenizer = load_tokenizer(config)

    def shown(row: dict[str, Any]) -> Any:
        return segments(tokenizer, row["input_ids"], row["labels"]) if "labels" in row else row

    return {
        "train": [shown(row) for row in rows.train_dataset],
        "valid": [shown(row) for row in rows.eval_dataset or ()],
    }


if __name__ == "__main__":
    main()
