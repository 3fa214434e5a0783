"""Published prediction problems on public tables: rows, targets, and what is held out."""
