"""What other tools have written: DataDesigner's configs as specs, and answers that were paid for elsewhere."""

from __future__ import annotations

from herogen_async.specs.foreign.answers_spec import AnswersSpec, spec_of_answers
from herogen_async.specs.foreign.datadesigner import TranslatedSpec, is_datadesigner, translated
from herogen_async.specs.foreign.not_mapped import NotMapped
from herogen_async.specs.foreign.paid_answers import AnswersRead, FieldNames, PaidAnswer, read_answers, with_repeats

__all__ = [
    "AnswersRead",
    "AnswersSpec",
    "FieldNames",
    "NotMapped",
    "PaidAnswer",
    "TranslatedSpec",
    "is_datadesigner",
    "read_answers",
    "spec_of_answers",
    "translated",
    "with_repeats",
]
