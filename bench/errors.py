"""What the user can mend, told in one line, and what nobody can."""


class BenchError(Exception):
    """The benchmark cannot run, and the message says what to do about it."""


class UnableError(Exception):
    """A peer has no such feature: it takes no part in the scenario."""
