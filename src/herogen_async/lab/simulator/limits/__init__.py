"""How the simulated server limits its clients, and what it says about that."""
