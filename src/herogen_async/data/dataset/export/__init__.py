"""All answers of a run as one table: CSV, JSON lines or Parquet."""
