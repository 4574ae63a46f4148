"""The parts of a workbook that say what its sheets are and what their cells mean: small XML files."""

from __future__ import annotations

import re
from typing import NamedTuple

from herogen_async.specs.records.sheet import XmlHandler, local

# The number formats of the standard that are dates or times.
_DATE_NUMBERS = frozenset(map(str, (*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59))))
# What in a format's code is no code: quoted text, escaped characters, colours and conditions.
_NOT_A_CODE = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)


class ListedSheet(NamedTuple):
    """A sheet as the workbook lists it."""

    name: str
    relation: str
    is_hidden: bool


class BookParts(XmlHandler):
    """`xl/workbook.xml`: the sheets in their order, the day that dates count from, and whether the formulas' values are
    to be calculated when it is opened.
    """

    def __init__(self) -> None:
        self.sheets: list[ListedSheet] = []
        self.is_from_1904 = self.is_to_calculate = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = local(name)
        if name == "sheet":
            relation = next((value for key, value in attributes.items() if key.endswith(":id")), "")
            is_hidden = attributes.get("state", "visible") != "visible"
            self.sheets.append(ListedSheet(attributes.get("name", ""), relation, is_hidden))
        elif name == "workbookPr":
            self.is_from_1904 = attributes.get("date1904") in ("1", "true")
        elif name == "calcPr":
            self.is_to_calculate = attributes.get("fullCalcOnLoad") in ("1", "true")

    def end(self, name: str) -> None:
        """Nothing is nested."""


class Relations(XmlHandler):
    """A `.rels` file: (id, kind, target) of what a part refers to."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str, str]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if local(name) == "Relationship":
            self.found.append((attributes.get("Id", ""), attributes.get("Type", ""), attributes.get("Target", "")))

    def end(self, name: str) -> None:
        """Nothing is nested."""


class Styles(XmlHandler):
    """`xl/styles.xml`: which styles of cells show a number as a date."""

    def __init__(self) -> None:
        self._codes: dict[str, str] = {}
        self._formats: list[str] = []
        self._in_cells = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = local(name)
        if name == "numFmt":
            self._codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif name == "cellXfs":
            self._in_cells = True
        elif name == "xf" and self._in_cells:
            self._formats.append(attributes.get("numFmtId", "0"))

    def end(self, name: str) -> None:
        if local(name) == "cellXfs":
            self._in_cells = False

    def dates(self) -> frozenset[str]:
        """The numbers of the styles, as cells name them."""
        return frozenset(str(place) for place, number in enumerate(self._formats) if self._is_date(number))

    def _is_date(self, number: str) -> bool:
        if number not in self._codes:
            return number in _DATE_NUMBERS
        code = _NOT_A_CODE.sub("", self._codes[number]).partition(";")[0].lower()
        return code != "general" and any(sign in code for sign in "dmyhs")
