"""What ends a command."""


class Failure(Exception):
    """Why a command can't go on, in words for whoever called it."""
