"""The writing side of a journal: batches, syncs, and who may be told what when."""
