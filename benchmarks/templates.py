"""What rendering one text costs: with `{name}` placeholders, in Jinja syntax, and with a loop in it.

    python benchmarks/templates.py [--texts 20000] [--rounds 5]

Microseconds a text, the best of some rounds: of a template alone, and of a plan's whole call, key and all.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Spec, Template
from herogen_async.specs.spec.jinja import JinjaTemplate
from herogen_async.specs.spec.said import SaidText

VALUES = {"level": "hard", "topic": "percentages", "question": "A question of some length. " * 20}
PLAIN = "Write one {level} exercise about {topic}, as hard as this one:\n\n{question}\n"
JINJA = "Write one {{ level }} exercise about {{ topic }}, as hard as this one:\n\n{{ question }}\n"
BRANCH = JINJA + "{% if level == 'hard' %}\nMake it hard.\n{% else %}\nMake it easy.\n{% endif %}\n"
LOOP = "{% for each in question.all %}\n{{ loop.index }}. {{ each }}\n{% endfor %}\n"
ALL = {"question.all": SaidText("", [VALUES["question"]] * 4)}


def microseconds(work: Callable[[], object], *, texts: int, rounds: int) -> float:
    """The best of `rounds`, each of so many texts."""
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(texts):
            work()
        best = min(best, time.perf_counter() - began)
    return best / texts * 1e6


def plan(**texts: str) -> Plan:
    """A spec of one prompt."""
    attributes = {name: [value] for name, value in VALUES.items()}
    return Plan(Spec(name="templates", attributes=attributes, **texts), endpoint="chat", model="m")


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--texts", type=int, default=20_000)
    options.add_argument("--rounds", type=int, default=5)
    how = vars(options.parse_args())
    plain, jinja, branch, loop = Template(PLAIN), JinjaTemplate(JINJA), JinjaTemplate(BRANCH), JinjaTemplate(LOOP)
    of_plain, of_jinja = plan(prompt=PLAIN), plan(prompt=JINJA, template="jinja")
    for what, work in (
        ("{name}", lambda: plain.render(VALUES)),
        ("jinja", lambda: jinja.render(VALUES)),
        ("jinja with a condition", lambda: branch.render(VALUES)),
        ("jinja with a loop over 4 samples", lambda: loop.render(ALL)),
        ("a call of a plan, {name}", lambda: of_plain.call(0)),
        ("a call of a plan, jinja", lambda: of_jinja.call(0)),
    ):
        print(f"{what:34} {microseconds(work, **how):6.2f} us")


if __name__ == "__main__":
    main()
