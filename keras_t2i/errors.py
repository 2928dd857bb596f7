"""Errors of work that fails though its arguments may be right."""


class FailedWhileRunning(Exception):
    """The arguments may be right, yet the work could not be done.

    A command that raises it ends with status 1; bad input gives status 2.
    """


class TrainingError(FailedWhileRunning):
    """A training cannot continue, though its arguments may be right."""


class ServerError(FailedWhileRunning):
    """A model server is not there, or refused or failed a request."""
