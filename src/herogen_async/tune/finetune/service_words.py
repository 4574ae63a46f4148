"""What services that speak OpenAI's API say in words of their own: how a job stands, when, how far, the model's name.

Sources: the API references of OpenAI, Azure, Together, Fireworks, Mistral, Cohere, DashScope, Vertex and SageMaker.
Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from herogen_async.tune.finetune.records import CANCELLED, FAILED, SUCCEEDED


def _words(text: str) -> list[str]:
    return text.split()


_ENDS = {
    SUCCEEDED: "succeeded success successful successfully completed complete done finished finish ready",
    FAILED: "failed fail failure error errored user_error system_error internal_error validation_failed invalid "
    "rejected expired timeout timed_out crashed interrupted",
    CANCELLED: "cancelled canceled cancel aborted stopped terminated killed deleted revoked",
}
_END_OF = {word: end for end, words in _ENDS.items() for word in _words(words)}
_GOING = frozenset(
    _words(
        "accepted active allocating archiving building cancel_requested canceling cancellation_requested "
        "cancelling checkpointing cleaning_up completing compressing converting created creating deploying "
        "downloading enqueued evaluating exporting finalizing fine_tuning finetuning in_progress in_queue "
        "initialized initializing loading merging new not_running not_started notrunning open packaging paused "
        "pausing pending pending_validation post_processing postprocessing pre_processing preparing preprocessing "
        "processing progressing provisioning queued queueing queuing received registering requested requeued "
        "restarting resumed resuming retrying running saving scheduled scheduling staging started starting "
        "stopping submitted submitting syncing terminating training updating uploaded uploading validated "
        "validating validating_files waiting writing_results"
    )
)
_PREFIX = re.compile(r"^(?:(?:fine_?tun(?:e|ed|ing)_)?(?:job_|file_)?(?:state|status)_)")
_STATUS_NAMES = ("status", "state", "job_status", "job_state", "phase")

# Where a record names the model that came of its job; the first that holds a text counts.
_MODEL_NAMES = (
    *("fine_tuned_model", "finetuned_model", "fine_tuned_model_id", "fine_tuned_model_name", "fine_tuned_model_uri"),
    *("tuned_model", "tuned_model_name", "tuned_model_id", "output_model", "output_model_name", "output_model_id"),
    *("model_output_name", "output_name", "finetuned_output", "result_model", "trained_model", "custom_model"),
    *("resulting_model", "new_model", "model_output", "output", "result", "results", "outputs"),
)
_REASONS = (
    *("error", "error_message", "errorMessage", "failure_reason", "failureReason"),
    *("status_details", "errors", "status_message", "message"),
)
_OWN_NAMES = ("name", "model", "id", "model_id", "model_name")  # in an object that stands for the model

_WORD = re.compile(r"[^a-z0-9]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NUMBER = re.compile(r"(?:(?<!\w)[-+])?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
# A time as a number: seconds up to the year 5138; what is larger counts in smaller units.
_UNITS = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3))


def status_word(job: Mapping[str, Any]) -> str:
    """How the service says that a job stands, as it says it; empty where it says nothing."""
    for record in (job, _mapping(job.get("status"))):
        for name in _STATUS_NAMES:
            if isinstance(said := record.get(name), str) and said.strip():
                return " ".join(said.split())
    return ""


def status_of(word: str) -> str | None:
    """SUCCEEDED, FAILED, CANCELLED, or a word for "it goes on"; None for a word that is not known."""
    plain = _plain(word.rpartition(".")[2])
    plain = _PREFIX.sub("", plain)
    if end := _END_OF.get(plain):
        return end
    if plain.startswith("failed_") or plain.endswith(("_failed", "_error", "_failure")):
        return FAILED
    return plain if plain in _GOING else None


def model_of(job: Mapping[str, Any]) -> tuple[str, str] | None:
    """The name of the tuned model in a job's record, and under which key it stands; None where none does."""
    known = {_plain(name): (name, value) for name, value in job.items()}
    for wanted in _MODEL_NAMES:
        name, value = known.get(wanted, (wanted, None))
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, str) and value.strip():
            # A plain `output` or `result` may be anything, a folder or a sentence.
            if wanted not in ("output", "result", "results", "outputs", "model_output"):
                return value.strip(), name
        elif isinstance(value, Mapping):
            for inner, held in _names_in(value):
                return held, f"{name}.{inner}"
    return None


def seconds_since_1970(told: Any) -> float | None:
    """A time as services write it: a number of seconds, milliseconds or less, ISO 8601, an HTTP date; None: no time."""
    if isinstance(told, str):
        return _of_text(told.strip())
    if isinstance(told, bool) or not isinstance(told, int | float):
        return None
    return _of_number(told)


def number_in(value: Any) -> float | None:
    """A number, also as a text: `12`, `"12"`, `"12/100"`, `"step 12"`; None where there is none."""
    if isinstance(value, str):
        found = _NUMBER.search(value.replace(",", ""))
        value = None if found is None else float(found[0])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None


def text_of(value: Any) -> str:
    """What stands for a sentence, as one; empty where nothing does."""
    if isinstance(value, Mapping):
        said = next((value[name] for name in ("message", "detail", "reason", "code") if value.get(name)), None)
        return text_of(said)
    if isinstance(value, list):
        return "; ".join(filter(None, map(text_of, value)))
    return "" if value is None else str(value).strip()


def reason_of(job: Mapping[str, Any]) -> str:
    """Why a job failed, in the service's words; empty where it gives none."""
    found = (text_of(record.get(name)) for record in (job, _mapping(job.get("status"))) for name in _REASONS)
    return next(filter(None, found), "")


def _names_in(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in (*_MODEL_NAMES, *_OWN_NAMES):
        if isinstance(held := value.get(name), str) and held.strip():
            yield name, held.strip()


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _plain(word: str) -> str:
    """`JOB_STATE_Completed`, `inProgress` and `in-progress` as one spelling has them."""
    return _WORD.sub("_", _CAMEL.sub("_", word).lower()).strip("_")


def _of_number(told: float) -> float | None:
    try:
        number = float(told)
    except OverflowError:
        return None
    if not math.isfinite(number):
        return None
    unit = next((unit for least, unit in _UNITS if abs(number) >= least), 1.0)
    return number * unit


def _of_text(told: str) -> float | None:
    try:
        return _of_number(float(told))
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(told)
    except ValueError:
        try:
            at = parsedate_to_datetime(told)
        except (ValueError, TypeError):
            return None
    try:
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError):
        return None
