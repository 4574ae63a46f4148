"""What LLaMA-Factory makes of data folders: run where it is installed. Reads JSON on stdin, writes one line at the end.

In: `model`, an empty folder's path, and `folders`, each with the settings that its card tells. Out: of each folder its
`train` and `valid` rows as `segments`; of a pair, those of the better and the worse answer; with a label, both.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import json
import os
import sys
import types
from pathlib import Path
from typing import Any


def main() -> None:
    """As `llamafactory-cli train` goes, up to the rows."""
    os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")
    if importlib.util.find_spec("torchaudio") is None:  # imported, but not used: no row has sound
        stand_in = types.ModuleType("torchaudio")
        stand_in.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
        sys.modules["torchaudio"] = stand_in
    order, found = json.load(sys.stdin), []
    with contextlib.redirect_stdout(sys.stderr):
        from support.tiny_tokenizer import model_folder

        texts = [path.read_text() for folder, _ in order["folders"] for path in Path(folder).glob("*.jsonl")]
        model = model_folder(Path(order["model"]), texts)
        for folder, settings in order["folders"]:
            found.append(read(str(model), folder, settings))
    print(json.dumps(found))


def read(model: str, folder: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The rows of `folder`, as its `dataset_info.json` describes them."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    from support.tiny_tokenizer import segments

    train, *valid = json.loads((Path(folder) / "dataset_info.json").read_text())
    settings = {"stage": "sft", "template": "empty", **settings}
    more = {"eval_dataset": valid[0]} if valid else {}
    of_model, of_data, of_training, _, _ = get_train_args(
        {
            **settings,
            **more,
            "dataset": train,
            "dataset_dir": folder,
            "model_name_or_path": model,
            "do_train": True,
            "output_dir": f"{model}/tuned",
            "overwrite_cache": True,
            "use_cpu": True,
            "report_to": "none",
        }
    )
    tokenizer = load_tokenizer(of_model)["tokenizer"]
    template = get_template_and_fix_tokenizer(tokenizer, of_data)
    stage = "rm" if settings["stage"] == "dpo" else settings["stage"]  # as its own trainer of pairs asks
    rows = get_dataset(template, of_model, of_data, of_training, stage=stage, tokenizer=tokenizer)

    def shown(row: dict[str, Any]) -> Any:
        if "chosen_labels" in row:
            return [
                segments(tokenizer, row[f"{way}_input_ids"], row[f"{way}_labels"]) for way in ("chosen", "rejected")
            ]
        whole = segments(tokenizer, row["input_ids"], row.get("labels") or row["input_ids"])
        return [whole, row["kto_tags"]] if "kto_tags" in row else whole

    sides = {"train": "train_dataset", "valid": "eval_dataset"}
    return {side: [shown(row) for row in rows.get(name, ())] for side, name in sides.items()}


if __name__ == "__main__":
    main()
