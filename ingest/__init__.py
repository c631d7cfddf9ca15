"""Doors: what people send becomes records of the log, once and whole."""
