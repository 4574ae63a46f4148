"""A running run is controlled from outside: one line of JSON in, one out, over a socket in the run's folder."""

from herogen_async.generation.control.client import ask
from herogen_async.generation.control.protocol import ACTIONS, SETTABLE, Command
from herogen_async.generation.control.server import controlled

__all__ = ["ACTIONS", "SETTABLE", "Command", "ask", "controlled"]
