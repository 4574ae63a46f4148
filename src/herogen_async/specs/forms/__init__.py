"""Forms: what an answer has to look like, as a column's `answer:` writes it. Pure.

A form is read once from a spec and asked of every answer: whether it fits, what it says, and if not, why, in a sentence
that the model is told. Nothing is accepted that does not fit the user's own schema.
"""

from herogen_async.specs.forms.definition import form_of, is_schema, referred
from herogen_async.specs.forms.form import AnswerForm, FormReading
from herogen_async.specs.forms.pairwise import pair_form, read_together
from herogen_async.specs.forms.spoken import spoken_form

__all__ = ["AnswerForm", "FormReading", "form_of", "is_schema", "pair_form", "read_together", "referred", "spoken_form"]
