"""What went wrong outside this program, said to a person."""


class ComplaintError(Exception):
    """Something is missing, unreadable or refused. Printed without a traceback; exit code 1."""
