"""Datasets of language models: tables of scores and losses, and the readers that make them from files."""
