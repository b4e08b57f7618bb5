"""What the user can mend, told in one line."""


class BenchError(Exception):
    """The benchmark cannot run, and the message says what to do about it."""
