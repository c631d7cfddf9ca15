"""Weir's servers on one machine, without Docker and with nothing but Python's library."""
