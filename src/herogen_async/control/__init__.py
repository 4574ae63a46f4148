"""A running run is controlled from outside: one line of JSON in, one out, over a socket in the run's folder."""

from herogen_async.control.client import ask
from herogen_async.control.protocol import ACTIONS, SETTABLE, Command
from herogen_async.control.server import controlled

__all__ = ["ACTIONS", "SETTABLE", "Command", "ask", "controlled"]
