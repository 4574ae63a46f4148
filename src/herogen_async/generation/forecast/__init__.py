"""Before money is spent: what a run would keep and ask anew, what it costs, and the worst case."""
