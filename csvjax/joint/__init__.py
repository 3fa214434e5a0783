"""What a fitted joint law says: predictions, target compute, files, tables, and the choice of its settings."""
