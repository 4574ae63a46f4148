"""Before money is spent: what a run would keep and ask anew, what it costs, and the worst case.

Nothing is imported here: a run needs the costs and the diff alone, and starts sooner without the look ahead.
"""
