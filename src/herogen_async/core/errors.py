"""Every error this package raises, split by whose fault it is.

```
HerogenError
├── InputError                 the user's input is wrong                       exit code 2
│   ├── SpecError              ... in a spec: file, line, value, fix
│   ├── RunFolderError         ... the run folder: absent, of another version, of another spec, unwritable
│   ├── RunInUse               ... another process writes this run
│   └── AgreementNeeded        ... what may cost money has not been agreed to
├── Interrupted                stopped before anything was asked                exit code 130
├── LocalModelError            this machine can't run the embedded model        exit code 2
├── DiskError                  the journal can't be written                     exit code 3
├── DamageError                a journal is damaged in the middle               exit code 4
└── EndpointError              one call went wrong
    ├── RetryableError         another try may help
    │   ├── ConnectionFailed   refused, reset, name not found, TLS
    │   ├── RequestTimeout     no answer before the deadline
    │   ├── RateLimited        429, `slow_down`: too fast; never uses up an attempt
    │   ├── ServerFault        408, 409, 424, 425, 499, 5xx
    │   ├── NotReadyYet        what the call names is still at work there
    │   └── BadAnswer          a 200 whose body is not what was asked for
    ├── RowRefused             this row's content is refused: give the row up
    ├── NoAnswer               thoughts and no answer: give the row up, keep the thoughts
    ├── WrongForm              no answer fits the form of its column: give the row up, keep the text
    ├── TemplateFailed         a text can't be rendered for this row: give the row up, nothing was asked
    ├── RowDeadline            all attempts of a row took too long: give the row up
    ├── InternalFault          a mistake of this program met this row: give the row up, tell it
    └── EndpointRefused        no row can succeed: park the run
```

A class's `kind` is its name in tables, in `failures.jsonl` and in `--json`; it never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, ClassVar

from herogen_async.core.limits import Reading


class ParkReason(Enum):
    """Why nothing more is answered until a person acts, or until time has gone by. Code decides on these alone."""

    BUDGET = "the budget is used up"
    DAY_LIMIT = "a daily or monthly limit is used up; it resets by itself"
    QUOTA = "the account has no credit or quota left"
    KEY_REFUSED = "the key is refused, or can't be obtained"
    NOT_FOUND = "the server does not know the model or the URL"
    REQUEST_REFUSED = "the server refuses every request"
    SERVER_ENDED = "the embedded model's server has ended"
    UNREACHABLE = "the server can no longer be reached"
    NO_ANSWER = "no call was ever answered: check the setup"
    RATE_LIMITED = "the server refuses for too long, or asks for a long wait"
    RETRY_QUOTA = "most calls fail"
    DISK = "can't write to the disk"
    SOURCE = "the file of records is gone or has changed"
    SESSION_TIME = "the session's time is up"
    WORKERS = "the worker processes end by themselves"


class HerogenError(Exception):
    """Base of all; `str(error)` is a sentence for a person, `fix` says what to mend.

    What to run next is no part of a fix: the command that ends says it.
    """

    kind: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    @property
    def fix(self) -> str | None:
        """What to mend; a traceback shows it below the sentence."""
        return self._fix

    @fix.setter
    def fix(self, fix: str | None) -> None:
        self._fix = fix
        self.__notes__ = [] if fix is None else [f"fix: {fix}"]


class InputError(HerogenError):
    """The user's input is wrong; nothing was sent and nothing was written."""

    kind = "input"
    exit_code = 2


class SpecError(InputError):
    """A spec is wrong. `file` and `line` (1-based) say where, when they are known."""

    kind = "spec"

    def __init__(
        self, message: str, *, file: str | None = None, line: int | None = None, fix: str | None = None
    ) -> None:
        where = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
        super().__init__(where + message, fix=fix)
        self.file = file
        self.line = line


class RunFolderError(InputError):
    """A run folder is absent, unwritable, of another version, or holds rows of another spec."""

    kind = "run_folder"


class RunInUse(InputError):
    """Another process holds the run's lock."""

    kind = "run_in_use"


class AgreementNeeded(InputError):
    """What is asked may cost money, and nobody has agreed to that yet."""

    kind = "agreement"


class Interrupted(HerogenError):
    """Stopped by a person before anything was asked; what is told later stands in the report."""

    kind = "interrupted"
    exit_code = 130


class LocalModelError(HerogenError):
    """This machine can't run the embedded model; `fix` holds the one command that helps."""

    kind = "local_model"
    exit_code = 2


class DiskError(HerogenError):
    """The journal can't be written: disk full, read-only, or failing."""

    kind = "disk"
    exit_code = 3


class MirrorError(HerogenError):
    """The object storage of a mirror can't be used now; the message never holds what it said itself."""

    kind = "mirror"
    exit_code = 3


class DamageError(HerogenError):
    """A journal is damaged before its last line; the message names file, line and byte."""

    kind = "damage"
    exit_code = 4


class EndpointError(HerogenError):
    """One call went wrong. `status` is the HTTP status, `code` the server's own word, when there are any.

    `readings` is what the answer's headers say about the server's limits.
    """

    kind = "endpoint"
    readings: tuple[Reading, ...] = ()

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(message, fix=fix)
        self.status = status
        self.code = code
        self.request_id = request_id


class RetryableError(EndpointError):
    """Another try may help. `retry_after_s` is what the server asked for, in seconds."""

    kind = "retryable"
    retry_after_s: float | None = None


class ConnectionFailed(RetryableError):
    """Refused, reset, name not found, TLS failed. `sent` is False when the request surely never left."""

    kind = "connection"
    sent: bool = True


class RequestTimeout(RetryableError):
    """No whole answer before the request's deadline."""

    kind = "timeout"


class RateLimited(RetryableError):
    """429 for going too fast. It pauses admission and never uses up an attempt."""

    kind = "rate_limit"


class ServerFault(RetryableError):
    """408, 409, 424, 425, 499 or 5xx: the server's trouble, not the row's.

    `meant` is the status that a success names as its error's code.
    """

    kind = "server"
    meant: int | None = None


class NotReadyYet(RetryableError):
    """What the call names is still at work at the server, which made nothing of the call: it is waited for."""

    kind = "not_ready"


class BadAnswer(RetryableError):
    """A 200 whose body is not what was asked for: HTML, broken JSON, no choices."""

    kind = "bad_answer"


# The codes of a server's own filter, which looked at the prompt before it refused.
FILTER_CODES = ("content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation")


class RowRefused(EndpointError):
    """This row's own content is refused (400, 413, 422, content filters, a model's refusal): it fails.

    `may_be_run`: nothing says that it is about the row; where many rows in a row meet it, it is the run's.
    """

    kind = "refused"
    may_be_run: bool = False


class NoAnswer(EndpointError):
    """The model thought, and gave no answer. It was paid for, and would end the same way again: the row fails.

    `answer` is what it gave, under the names of a row: `reasoning`, `extra`, `finish_reason`, `model`, `usage`.
    """

    kind = "no_answer"
    answer: Mapping[str, Any] = MappingProxyType({})


class WrongForm(EndpointError):
    """No answer to the call fits the form of its column, as often as it was asked: the row fails.

    `answer` is the last one, under the names of a row.
    """

    kind = "wrong_form"

    def __init__(self, message: str, *, text: str) -> None:
        super().__init__(message)
        self.answer: Mapping[str, Any] = {"response_txt": text}


class RowDeadline(EndpointError):
    """All attempts of this row together took longer than a row may: it fails."""

    kind = "deadline"


class ConditionUnclear(EndpointError):
    """A column's condition can't be decided for this row: the column fails, and nothing was asked."""

    kind = "condition"


class TemplateFailed(EndpointError):
    """A prompt or system text can't be rendered for this row: the column fails, and nothing was asked.

    `is_missing`: it needs the answer of a column that was skipped in this row.
    """

    kind = "template"
    is_missing: bool = False


class InternalFault(EndpointError):
    """A mistake of this program met this row: it fails and is told, the rows in flight beside it are kept."""

    kind = "internal"

    @classmethod
    def of(cls, bug: Exception) -> InternalFault:
        """What and where, without the exception's own words: they may quote a header, and a header holds the key."""
        trace, place = bug.__traceback__, "an unknown place"
        while trace is not None:
            file = trace.tb_frame.f_code.co_filename.replace("\\", "/").rpartition("/")[2]
            place = f"{file}:{trace.tb_lineno}"
            trace = trace.tb_next
        return cls(f"{type(bug).__name__} in {place}, a bug in this program")


class EndpointRefused(EndpointError):
    """No row can succeed until a person acts: bad key, empty balance, unknown model, wrong URL; `park_reason` is which.

    `may_be_row`: it does not say for certain that it is about all; a firewall may have met one prompt. A day's limit
    comes back by itself, in `retry_after_s` seconds where the server says so.
    """

    kind = "endpoint_refused"
    park_reason: ParkReason = ParkReason.REQUEST_REFUSED
    may_be_row: bool = False
    retry_after_s: float | None = None
