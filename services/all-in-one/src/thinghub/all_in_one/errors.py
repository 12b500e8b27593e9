"""What keeps `thinghub up` from starting or going on, each a sentence for the person at the terminal."""


class CannotRun(Exception):
    """The message is one sentence and says what to do."""
