"""Published prediction problems, from public tables: which rows, which targets, what is held out."""
