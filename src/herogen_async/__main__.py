"""`python -m herogen_async` is `herogen-async`."""

from herogen_async.cli import main

main()
