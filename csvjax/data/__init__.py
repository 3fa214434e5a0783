"""Benchmark tables in, `ScoreTable` out."""
