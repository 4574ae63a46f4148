"""What goes wrong, by name, and what is said about it. Pure: a refusal is a record, its bytes are made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

SLOW_BODY_S = 60.0  # a slow body's whole way: longer than a short deadline, shorter than the SDKs' 600 s
SLOW_BODY_PIECES = 60  # a piece a second: each resets the clocks of clients that only watch for silence


@dataclass(frozen=True, slots=True)
class Refusal:
    """A server's word for why there is no answer, in the OpenAI shape."""

    status: int
    kind: str
    code: str | None
    message: str
    param: str | None = None


# Named as in OpenAI's error reference, where it has a name.
FAULTS: dict[str, str] = {
    "500": "the server fails while working",
    "slow_down": "503: request rate grew too fast",
    "overloaded": "503: overloaded, refused at once",
    "insufficient_quota": "429: quota used up, waiting does not help",
    "reset": "connection reset instead of an answer",
    "cut": "connection reset in the middle of the body",
    "hang": "no answer ever",
    "slow_body": f"the body trickles in over {SLOW_BODY_S:g} s",
    "html": "200 with a web page",
    "broken_json": "200 with half of the JSON",
    "wrong_shape": "200 with JSON of another shape",
    "no_usage": "valid answer without usage",
    "broken_form": "an answer that breaks the JSON that was asked for, in one of twenty ways",
    "near_copy": "an answer that repeats another one but for a word, where all others differ",
}

ANSWERED = ("no_usage", "broken_form", "near_copy")  # all the same, with a usual body

SLOW_ANSWER_S = 2.0  # longer than a test's deadline, shorter than a person's patience

# What goes wrong with uploads and fine-tuning jobs. Those that "were kept" and "started" are what a client must never
# repeat blindly.
JOB_FAULTS: dict[str, str] = {
    "upload_unavailable": "503 to an upload; nothing is kept",
    "upload_500": "500 to an upload that was kept",
    "upload_reset": "upload kept, connection reset instead of an answer",
    "upload_slow": f"upload kept, answer takes {SLOW_ANSWER_S:g} s",
    "not_available": "403 training_not_available to a new job",
    "create_unavailable": "503 to a new job; nothing is started",
    "create_500": "500 to a new job that was started",
    "create_reset": "job started, connection reset instead of an answer",
    "create_slow": f"job started, answer takes {SLOW_ANSWER_S:g} s",
    "file_not_ready": "400 to a new job: its file is still being processed; nothing is started",
    "metadata_refused": "422 to a new job with metadata; nothing is started",
    "own_words": "job told in other services' words: COMPLETED, ISO times, steps as text, output_name",
    "unknown_word": "job told with a status that no service has",
    "no_model_name": "job succeeds without naming its model",
    "bad_file": "job fails during file validation",
    "training_fails": "job fails half-way through training",
}

# Told at once: they cost the server no work and take no slot.
AT_ONCE = {
    "slow_down": Refusal(503, "server_error", "slow_down", "Requests grow too fast. Slow down, then ramp up again."),
    "overloaded": Refusal(503, "server_error", "server_is_overloaded", "The server is overloaded. Try again later."),
    "insufficient_quota": Refusal(
        429, "insufficient_quota", "insufficient_quota", "The quota is used up; check the plan and billing details."
    ),
}
AT_WORK = {"500": Refusal(500, "server_error", None, "The server failed while processing this request.")}
JOB_REFUSALS = {  # nothing was kept or started
    "upload_unavailable": AT_ONCE["overloaded"],
    "create_unavailable": AT_ONCE["overloaded"],
    "file_not_ready": Refusal(
        400,
        "invalid_request_error",
        None,
        "The training file is still being processed and is not ready to be used for fine-tuning. "
        "Please try again later.",
    ),
    "not_available": Refusal(
        403,
        "invalid_request_error",
        "training_not_available",
        "Fine-tuning is not available to this organization: no new jobs can be created.",
    ),
}
UNKNOWN_FIELD = Refusal(  # FastAPI's way
    422, "extra_forbidden", None, "body.metadata: Extra inputs are not permitted", "metadata"
)
UNTOLD = ("reset", "cut", "hang")  # nothing that a client could parse
SPOILT = ("html", "broken_json", "wrong_shape")  # a 200 that is no answer

HTML = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><h1>Sign in to the portal</h1></body></html>\n"
WRONG_SHAPE = {"status": "ok", "result": None}
