"""What a crash or a disk has left of a journal, made fit for the next append or copied to a new run."""
