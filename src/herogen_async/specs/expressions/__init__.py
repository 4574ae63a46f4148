"""Conditions over a row's values, as a spec writes them: `verdict.score < 3 and level in ['easy', 'hard']`. Pure.

The language is a small part of Python's, read by a parser of its own and never evaluated as Python. `ast` would not
do: it takes attributes such as `class` and `from` for keywords, folds letters of names into others (NFKC), warns about
escapes, can be crashed by nesting, and its sentences and places differ from one Python to the next.
"""

from herogen_async.specs.expressions.expression import Expression, stems_of
from herogen_async.specs.expressions.mistakes import ExpressionFailed, InvalidExpression

__all__ = ["Expression", "ExpressionFailed", "InvalidExpression", "stems_of"]
