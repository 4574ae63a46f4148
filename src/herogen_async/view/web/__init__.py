"""The page: runs, their progress, rows and marks in a browser, on this machine. Needs the extra `[view]`."""
