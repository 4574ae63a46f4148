"""What a spec does not say of another tool's config, or says otherwise. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

# What has no place in a spec: (why, the nearest way).
ELSEWHERE = {
    "validation": ("answers are not run or sent to a validator", "write a judge column and `keep`"),
    "embedding": ("only texts are generated", "embed the exported table"),
    "image": ("only texts are generated", "leave it out"),
    "custom": ("a spec runs no Python", "write its function's prompt as a column"),
}
PARTS = {
    "processors": ("the table is written as it is", "choose a format and `train` when you assemble"),
    "profilers": ("profiles are not configured", "see the quality report that `assemble` writes"),
    "tool_configs": ("no tools are run", "offer tools with `sampling: {extra: {tools: [...]}}`; calls are kept"),
}
OF_COLUMN = {
    "multi_modal_context": ("only text is sent", "describe it in the prompt"),
    "tool_alias": ("no tools are run", "offer tools with `sampling: {extra: {tools: [...]}}`; calls are kept"),
}


@dataclass(frozen=True, slots=True)
class NotMapped:
    """What a spec does not say, or says otherwise: `place` in words, `path` in the config; `nearest` may be empty."""

    place: str
    reason: str
    nearest: str
    path: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}" + (f"; nearest: {self.nearest}" if self.nearest else "")


@dataclass(slots=True)
class NotesOfConfig:
    """All that is to be told of one config, each once. `root` is where its parts are in the file."""

    root: tuple[str | int, ...]
    places: dict[str, int]
    told: list[NotMapped] = field(default_factory=list)

    def of_column(self, name: str, reason: str, nearest: str) -> None:
        """About the column called `name`."""
        self.add(f"column {name}", reason, nearest, "columns", self.places[name])

    def add(self, place: str, reason: str, nearest: str, *path: str | int) -> None:
        """About the part at `path`, which people call `place`."""
        note = NotMapped(place, reason, nearest, (*self.root, *path))
        if note not in self.told:
            self.told.append(note)
