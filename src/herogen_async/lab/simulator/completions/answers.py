"""The questions as the simulation sees them, and its answers: a word is a token, and all follows from the seed."""

from __future__ import annotations

from typing import Any, NamedTuple
from zlib import crc32

from herogen_async.lab.simulator.completions.form_answers import formed_text
from herogen_async.lab.simulator.completions.tool_answers import OfferedTools, SimulatedToolCall, called
from herogen_async.lab.simulator.policy import Answers
from herogen_async.lab.simulator.seeded_random import lognormal

SIMULATED_BYTES_A_TOKEN = 4  # English text under the common vocabularies

_TALE = """\
She learned early that power is mostly patience. In the city they speak of a quiet figure who mends what others break.
Rain never touched her coat, and nobody asked why. He keeps a ledger of every promise, and reads it aloud at dawn.
Strangers trusted that voice before they knew the face. By night the rooftops belong to someone who counts each light.
The gift came with a price: every rescue costs one small memory. Friends call it stubbornness, enemies call it fate.
When the bridge fell silent, only one pair of hands held the cables. There is a workshop below the station, full of
clocks that disagree. Courage, the old teacher said, is a habit and not a mood. They still leave the window open, in
case the shadow wants to come home. No medal was ever accepted, but every letter was answered. Even the sea seemed to
wait for the next decision. A scar above the left eye tells the story that nobody prints. In the end the mask was the
smallest part of the disguise.
"""
_WORDS = _TALE.split()
_STARTS = [0] + [place + 1 for place, word in enumerate(_WORDS[:-1]) if word.endswith(".")]
_THOUGHTS = ["A", "tale", "is", "asked", "for.", "It", "should", "name", "its", "question,", "which", "I", "number"]
_NEAR_WORDS = 60  # of an answer that repeats another one
_RING_WORDS = 10_000  # longer answers are made word by word
_RING = " ".join(_WORDS * (_RING_WORDS // len(_WORDS) + 1)) + " "
_PLACES = [0] + [place + 1 for place, letter in enumerate(_RING) if letter == " "]  # where each word begins


class Question(NamedTuple):
    """What was asked: all of the prompt's text, and at most how many tokens the answer may have."""

    text: bytes
    max_tokens: int | None = None
    voice: bytes = b""  # the tuned model that is asked: it answers otherwise than the others do
    form: Any = None  # the JSON Schema that its answer must fit
    tools: OfferedTools | None = None

    @property
    def tokens(self) -> int:
        """The prompt's size, as the server counts it."""
        return -(-len(self.text) // SIMULATED_BYTES_A_TOKEN)


class SimulatedAnswer(NamedTuple):
    """A text with its usage and the word for why it ended. `identity` is the question's own number, of 64 bits.

    `thoughts` came before it, `thought_tokens` of the `completion_tokens`.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    identity: int
    thoughts: str = ""
    tool_calls: tuple[SimulatedToolCall, ...] = ()

    @property
    def thought_tokens(self) -> int:
        """A word is a token."""
        return self.thoughts.count(" ") + 1 if self.thoughts else 0


def answer(
    question: Question, lengths: Answers, drawn: tuple[int, ...], *, has_thoughts: bool = False
) -> SimulatedAnswer:
    """The one answer to `question`, from four numbers `drawn` for it. Its second word names the question.

    `has_thoughts`: the model thinks before it answers, in tokens that the answer then lacks.
    """
    identity, place, first, second = drawn
    wanted = max(2, round(lognormal(lengths.tokens, lengths.sigma, first, second)))
    most = lengths.most if question.max_tokens is None else question.max_tokens
    if has_thoughts and most > 1:
        thoughts = " ".join([*_THOUGHTS, f"{identity & 0xFFFFFFFF:08x}."][: most - 1])
        spent = thoughts.count(" ") + 1
        told = answer(question._replace(max_tokens=most - spent), lengths, drawn)
        return told._replace(completion_tokens=told.completion_tokens + spent, thoughts=thoughts)
    count = wanted if wanted <= most else most
    if question.tools is not None and (calls := called(question.tools, identity, _TALE)):
        size = sum(len(call.name) + len(call.arguments) for call in calls)
        tokens = -(-size // SIMULATED_BYTES_A_TOKEN)
        return SimulatedAnswer("", question.tokens, tokens, "tool_calls", identity, tool_calls=calls)
    if question.form is not None:
        text = formed_text(question.form, identity, _TALE)
        return SimulatedAnswer(text, question.tokens, -(-len(text) // SIMULATED_BYTES_A_TOKEN), "stop", identity)
    text = _tale(_STARTS[place % len(_STARTS)], count, identity)
    if wanted > most:
        return SimulatedAnswer(text, question.tokens, count, "length", identity)
    if text[-1] != ".":
        text = text.rstrip(",:") + "."
    return SimulatedAnswer(text, question.tokens, count, "stop", identity)


def near_text(told: SimulatedAnswer) -> SimulatedAnswer:
    """The same tale whatever was asked, but for the word that names the question."""
    words = [*told.text.split(" ", 2)[:2], *_WORDS[:_NEAR_WORDS]][: told.completion_tokens]
    return told._replace(text=" ".join(words), completion_tokens=len(words))


def mixed_text(told: SimulatedAnswer) -> SimulatedAnswer:
    """The words of an answer in an order of its own: of two such answers neither is like the other."""
    first, words = told.text.split(" ")[:2], told.text.split(" ")[2:]
    order = sorted(range(len(words)), key=lambda place: crc32(b"%d %d" % (told.identity, place)))
    return told._replace(text=" ".join([*first, *(words[place] for place in order)]))


def _tale(start: int, count: int, identity: int) -> str:
    """`count` words, the first two of which name the question."""
    if count < 2:
        return "Tale"
    told = count - 2
    if start + told < len(_PLACES):
        text = _RING[_PLACES[start] : _PLACES[start + told]]
    else:
        text = " ".join(_WORDS[(start + place) % len(_WORDS)] for place in range(told))
    return f"Tale {identity & 0xFFFFFFFF:08x}: {text}".rstrip()
