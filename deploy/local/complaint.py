"""What went wrong, said to a person, with the way out."""


class ComplaintError(Exception):
    """Something outside this program is missing or in the way.

    `__main__` prints it in two lines and no traceback; every other exception is a bug.
    """

    def __init__(self, what: str, way_out: str) -> None:
        super().__init__(f"{what}\n  way out: {way_out}")
        self.what = what
        self.way_out = way_out
