"""What fails while it runs, and is no fault of what was asked for."""


class FailedWhileRunning(Exception):
    """What was asked for may be right, and yet it could not be done.

    The command then ends with status 1, not 2, as for bad input.
    """


class TrainingError(FailedWhileRunning):
    """A training could not go on, though what was asked for may be right."""


class ServerError(FailedWhileRunning):
    """A model server is not there, or has refused or failed a request.

    Not a `ValueError`: what was asked for need not be wrong.
    """
