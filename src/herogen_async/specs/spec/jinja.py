"""Templates in Jinja syntax (`template: jinja`), rendered by minijinja. Pure.

J1  A template is one text: it reaches no file, no other template and no function but a few of minijinja's own.
J2  A value is data: it is inserted as it is, and never rendered, whatever it holds; no template changes it.
J3  Each rendering has so much fuel, which steps and the texts that they make use up; with no macros, no recursive
    loops and no `namespace` a template can't go on without steps.
J4  What a template names is known from its text: a name is a placeholder as `{name}` templates have it, or its stem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import minijinja

from herogen_async.core.blank import is_blank
from herogen_async.core.errors import SpecError, TemplateFailed
from herogen_async.core.likeness import nearest
from herogen_async.specs.spec.said import FixedList, FixedMapping, SaidList, SaidMapping, SaidText
from herogen_async.specs.spec.template import ALL, Template, with_other_names

FUEL = 2_000_000  # of one rendering: a prompt takes some hundreds, and all of it lasts less than half a second
TAGS = ("if", "elif", "else", "endif", "for", "endfor", "break", "continue", "set", "endset", "with", "endwith")
_FURTHER_TAGS = ("filter", "endfilter", "raw", "endraw")
_REFUSED = {
    **dict.fromkeys(
        ("include", "import", "from", "extends", "block"), "a template is one text, and reads no other one"
    ),
    **dict.fromkeys(("macro", "call"), "a template has no macros: write the text where it belongs, or use a loop"),
}
_FUNCTIONS = ("cycler", "dict", "joiner", "range")
FILTERS = tuple(
    """abs attr batch bool capitalize chain count d default dictsort e escape filesizeformat first float format groupby
    indent int items join last length lines list lower map max min pluralize pprint reject rejectattr replace reverse
    round safe select selectattr slice sort split string striptags sum title tojson trim truncate unique upper urlencode
    wordwrap zip""".split()  # noqa: SIM905 - a line for each would hide the rest
)
TESTS = tuple(
    """boolean defined divisibleby endingwith eq equalto escaped even false filter float ge greaterthan gt in
    integer iterable le lessthan lower lt mapping ne none number odd safe sameas sequence startingwith string test true
    undefined upper""".split()  # noqa: SIM905
)
_STRING = r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'"""
_PART = re.compile(
    rf"""\{{\#.*?\#\}}
    | \{{%[-+]?\s*raw\s*[-+]?%\}}.*?\{{%[-+]?\s*endraw\s*[-+]?%\}}
    | \{{\{{(?P<value>(?:{_STRING}|[^"'])*?)\}}\}}
    | \{{%[-+]?(?P<tag>(?:{_STRING}|[^"'])*?)%\}}""",
    re.DOTALL | re.VERBOSE,
)
# A name, unless it is that of an attribute, a filter or a test; and what is none of these.
_WORD = re.compile(rf"{_STRING}|[.|]\s*[^\W\d]\w*|\bis\s+(?:not\s+)?[^\W\d]\w*|(?P<name>[^\W\d]\w*)", re.DOTALL)
_FILTER = re.compile(rf"{_STRING}|\|\s*(?P<name>[^\W\d]\w*)", re.DOTALL)
_TEST = re.compile(rf"{_STRING}|\bis\s+(?:not\s+)?(?P<name>[^\W\d]\w*)", re.DOTALL)
# Those that a filter takes by name, as in `map("upper")` and `selectattr("score", "ge", 4)`.
_MAPPED = re.compile(r"""\|\s*map\s*\(\s*["'](?P<name>\w+)["']""")
_SELECTED = re.compile(rf"""\|\s*(?:select|reject)(?:attr\s*\(\s*(?:{_STRING})\s*,|\s*\()\s*["'](?P<name>\w+)["']""")
_PIECE = re.compile(rf"{_STRING}|\s+|\w+|.", re.DOTALL)
_SET = re.compile(r"\s*set\s+[\w\s.,()]+=(?P<value>.*?)[-+]?", re.DOTALL)
_FILTERED = re.compile(r"\s*(?:filter\b|set\s+\w+\s*\|)(?P<filters>.*?)[-+]?", re.DOTALL)
_WITH = re.compile(r"\s*with\b(?P<assigned>.*?)[-+]?", re.DOTALL)
# What minijinja says no more of than its kind.
_KINDS = {
    "InvalidOperation": "a value can't be used in this way",
    "MissingArgument": "a filter, test or function lacks an argument",
    "TooManyArguments": "a filter, test or function has too many arguments",
    "UndefinedError": "a value is undefined",
}
_NAME = "text"


class JinjaTemplate(Template):
    """A compiled template. `names` are what it names, in order, as placeholders: `solution`, `solution.all`,
    `verdict.score`.

    Raises SpecError with the text's line (1-based) and the fix where minijinja can't read it, and for tags, filters,
    tests and functions that there are not.
    """

    __slots__ = ("_called", "_environment", "_is_needed", "_spoken", "_variables")
    is_jinja: ClassVar[bool] = True

    def __init__(
        self,
        text: str,
        *,
        is_needed: bool = False,
        called: Mapping[str, str] | None = None,
        spoken: tuple[str, tuple[Any, ...], str] | None = None,
    ) -> None:
        """`is_needed`: a text with nothing to be seen in it fails. `called`: other names for what its own stand for.
        `spoken`: the name of a transcript, its turns as (role, column), and their template.
        """
        self.text = text
        self._is_needed = is_needed
        self._called = dict(called or {})
        self._spoken = spoken
        self._environment = _environment()
        try:
            self._environment.add_template(_NAME, text)
            found = self._environment.undeclared_variables_in_str(_searchable(text), nested=True)
        except minijinja.TemplateError as error:
            raise SpecError(_told(error), fix="write {{ name }} for a value, and see docs/templates.md") from None
        for line, message, fix in _mistakes(text):
            raise SpecError(f"{message} (line {line} of the text)", fix=fix)
        paths = _paths(text, found)
        self._variables: dict[str, tuple[bool, tuple[str, ...]]] = {}
        for name, field in paths:
            whole, fields = self._variables.get(name, (False, ()))
            self._variables[name] = (whole or field is None, fields if field is None else (*fields, field))
        if both := next((name for name, (whole, fields) in self._variables.items() if whole and ALL in fields), None):
            fix = f"write {both} for one sample, or {both}.{ALL} for the list of all"
            raise SpecError(f"it names both {both!r} and '{both}.{ALL}'", fix=fix)
        own = [name if field is None else f"{name}.{field}" for name, field in paths]
        self.names = tuple(dict.fromkeys(other for name in own for other in self._placeholders(name)))

    def render(self, values: Mapping[str, str]) -> str:
        """The text for a row with these values by placeholder; a `SaidText` has its value as it is.

        Empty where nothing of it can be seen. Raises TemplateFailed when it runs out of fuel, can't be rendered, needs
        what `values` does not have, or is empty and may not be.
        """
        context = self._context(values)
        try:
            text = self._environment.render_template(_NAME, **context)
        except minijinja.TemplateError as error:
            failed = TemplateFailed(_told(error))
            failed.is_missing = any(
                f"`{name}`" in (detail := error.detail or "") or f"`{name}." in detail
                for name in self._variables
                if name not in context
            )
            raise failed from None
        except AttributeError as error:
            name = "such method" if error.name is None else f"method {error.name!r}"
            raise TemplateFailed(f"a value has no {name}; a template has none that change or copy a value") from None
        # Of values, such as a number of a hundred digits, and of the methods that lists and mappings have.
        except (ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
            raise TemplateFailed(f"a value can't be rendered: {error}") from None
        except BaseException as panic:
            if type(panic).__name__ != "PanicException":
                raise
            raise TemplateFailed("the template can't be rendered: minijinja gave up") from None
        if not is_blank(text):
            return text
        if self._is_needed:
            raise TemplateFailed("the prompt is empty with this row's values")
        return ""

    def preview(self, values: Mapping[str, str]) -> str:
        """As `render`, with values that stand for answers to come; the text itself where these don't do."""
        try:
            return self.render(values)
        except TemplateFailed:
            return self.text

    def longest(self, values: Mapping[str, str]) -> str:
        """As `preview`, of the longest values that there may be: at least each of them once."""
        once = "".join((self.text, *(values[name] for name in self.names if name in values)))
        return max(self.preview(values), once, key=len)

    def shows(self, name: str) -> str:
        """A placeholder as the text has it."""
        return f"{{{{ {name} }}}}"

    def with_names(self, rename: Callable[[str], str]) -> str:
        """The text with each name that stands for a value as `rename` has it; of `solution.all` it gets `solution`.

        Texts that are equal so say the same: what `rename` makes a number is written as no template could, and so is
        what it makes a name that is another one's in the text.
        """
        names = {name: rename(self._called.get(name, name)) for name in self._variables}
        taken = {word for code in _codes(self.text) for word in _words(code)} - names.keys()
        marked = {
            name: other if other.isidentifier() and other not in taken else f"${other}" for name, other in names.items()
        }

        def renamed(word: re.Match[str]) -> str:
            name = word.group("name")
            return word.group() if name is None else marked.get(name, name)

        def part(found: re.Match[str]) -> str:
            return _WORD.sub(renamed, found.group()) if found.group("value") or found.group("tag") else found.group()

        return _PART.sub(part, self.text)

    def renamed(self, names: Mapping[str, str]) -> JinjaTemplate:
        """The same, with other names for what its own stand for; its text stays."""
        called = {
            name: names.get(self._called.get(name, name), self._called.get(name, name)) for name in self._variables
        }
        return JinjaTemplate(self.text, is_needed=self._is_needed, called=called, spoken=self._spoken)

    def with_transcript(self, name: str, turns: Sequence[tuple[str, str]], text: str) -> JinjaTemplate:
        """The same with what was said as `name`: a list of `role` and `content`, which prints as a text."""
        spoken = (name, tuple(turns), text)
        return JinjaTemplate(self.text, is_needed=self._is_needed, called=self._called, spoken=spoken)

    @property
    def plain_text(self) -> str:
        """The text; a value alone without blanks, as `{name}` templates have it."""
        alone = re.fullmatch(r"\s*\{\{-?\s*([^\W\d]\w*)\s*-?\}\}\s*", self.text)
        return self.text if alone is None else f"{{{alone[1]}}}"

    def __repr__(self) -> str:
        return f"JinjaTemplate({self.text!r})"

    def _placeholders(self, name: str) -> tuple[str, ...]:
        if self._spoken is not None and name == self._spoken[0]:
            return tuple(column for _, column in self._spoken[1])
        return (with_other_names(name, self._called),) if self._called else (name,)

    def _context(self, values: Mapping[str, str]) -> dict[str, Any]:
        context: dict[str, Any] = {}
        for name, (whole, fields) in self._variables.items():
            if self._spoken is not None and name == self._spoken[0]:
                _, turns, text = self._spoken
                if all(column in values for _, column in turns):
                    said = [{"role": role, "content": str(values[column])} for role, column in turns]
                    context[name] = SaidList(said, Template(text, names_columns=True).render(values))
                continue
            called = self._called.get(name, name)
            parts = {each: _value(each, values[at]) for each in fields if (at := f"{called}.{each}") in values}
            if whole and called in values:
                value = _value(None, values[called])
                context[name] = value if not parts or isinstance(value, SaidMapping) else SaidMapping(parts, value)
            elif not whole and parts:
                context[name] = FixedMapping(parts)
        return context


def _value(field: str | None, text: str) -> Any:
    if type(text) is SaidText:
        return text.value
    return FixedList([text]) if field == ALL else text


def _environment() -> minijinja.Environment:
    made = minijinja.Environment(
        fuel=FUEL,
        auto_escape_callback=lambda _: False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        debug=True,  # else an error doesn't say which name is undefined
    )
    # As strict, but `a or b` and `if a` may ask for what there is not. Its types don't know of it.
    made.undefined_behavior = "semi_strict"  # type: ignore[assignment]
    for name in set(made.globals) - {*_FUNCTIONS}:
        made.remove_global(name)
    return made


def _told(error: minijinja.TemplateError) -> str:
    if error.kind == "OutOfFuel":
        return f"the template takes too long: more than {FUEL:,} steps"
    where = "" if error.line is None else f" (line {error.line} of the text)"
    return f"{error.detail or _KINDS.get(error.kind, error.kind)}{where}"


def _paths(text: str, found: set[str]) -> list[tuple[str, str | None]]:
    """What a template names, as (name, field), in the order of the text."""
    paths: dict[tuple[str, str | None], int] = {}
    codes = "\n".join(_codes(text))
    for path in sorted(found):
        name, *fields = path.split(".")
        if name in _FUNCTIONS and not re.search(rf"\b{name}\b(?!\s*\()", codes):
            continue
        is_method = fields and re.search(rf"\b{name}\s*\.\s*{fields[0]}\s*\(", codes)
        place = re.search(rf"\b{name}\b", codes)
        paths.setdefault((name, None if is_method or not fields else fields[0]), place.start() if place else 0)
    return sorted(paths, key=lambda each: (paths[each], each[0], each[1] or ""))


def _searchable(text: str) -> str:
    """`text` so written that minijinja finds all its names: it misses what is sliced, the arguments of a block's
    filters, and in `set a = a|upper` the second `a`.
    """

    def part(found: re.Match[str]) -> str:
        if found.group("value") is None and found.group("tag") is None:
            return found.group()
        code = _unsliced(found.group())
        tag = code[2:-2].lstrip("-+")
        if assigned := _SET.fullmatch(tag):
            return _read_first(assigned["value"]) + code
        if filtered := _FILTERED.fullmatch(tag):
            return _read_first(f"''|{filtered['filters']}") + code
        if (opened := _WITH.fullmatch(tag)) and opened["assigned"].strip():
            each = (part.partition("=") for part in _between_commas(opened["assigned"]))
            sets = (f"{_read_first(value)}{{% set {target} = {value} %}}" for target, _, value in each)
            return "{% with %}" + "".join(sets)
        return code

    return _PART.sub(part, text)


def _read_first(value: str) -> str:
    return f"{{% if ({value}) %}}{{% endif %}}"


def _unsliced(code: str) -> str:
    """`code` with `a[0 or b]` for `a[:b]`, which names the same."""
    brackets, made, before = [""], list[str](), ""
    for piece in _PIECE.findall(code):
        is_slice = piece == ":" and brackets[-1] == "["
        if before == ":" and piece in (":", "]"):
            made.append(" 0 ")
        made.append(piece if not is_slice else " 0 or " if before == "[" else " or ")
        if piece in "([{":
            brackets.append(piece)
        elif piece in ")]}" and len(brackets) > 1:
            brackets.pop()
        if not piece.isspace():
            before = piece if is_slice or piece == "[" else ""
    return "".join(made)


def _between_commas(code: str) -> list[str]:
    parts, depth = [""], 0
    for piece in _PIECE.findall(code):
        depth += (piece in "([{") - (piece in ")]}")
        if piece == "," and not depth:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _codes(text: str) -> Iterator[str]:
    """What stands between the braces of values and tags."""
    for part in _PART.finditer(text):
        yield part.group("value") or part.group("tag") or ""


def _words(code: str) -> Iterator[str]:
    return (word.group("name") for word in _WORD.finditer(code) if word.group("name"))


def _mistakes(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, message, fix) of what minijinja would tell for a row only."""
    for part in _PART.finditer(text):
        line = text.count("\n", 0, part.start()) + 1
        tag, code = part.group("tag"), part.group("value") or part.group("tag") or ""
        if tag is not None:
            word = next(_words(tag), "")
            if word not in (*TAGS, *_FURTHER_TAGS):
                yield line, f"the tag {word!r} is not available", _REFUSED.get(word) or nearest(word, TAGS)
            if word == "for" and list(_words(tag))[-1] == "recursive":
                yield line, "a loop can't be recursive", "write a loop for each level"
            if word == "filter":
                code = code.replace("filter", "|", 1)
        for names, known, what in (
            (_FILTER, FILTERS, "filter"),
            (_MAPPED, FILTERS, "filter"),
            (_TEST, TESTS, "test"),
            (_SELECTED, TESTS, "test"),
        ):
            for name in (each.group("name") for each in names.finditer(code) if each.group("name")):
                if name not in known:
                    yield line, f"unknown {what} {name!r}", nearest(name, known)
        if re.search(r"\bnamespace\s*\(", code):
            yield line, "`namespace` is not available", "use filters, such as join, selectattr or sum"
