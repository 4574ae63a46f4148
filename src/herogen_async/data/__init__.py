"""From a journal to data sets: tables, training formats, quality reports, and files from elsewhere."""
