"""The folder of a data set: its files, card, trainer configurations and report."""
