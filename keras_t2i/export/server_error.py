"""What a server could not do."""


class ServerError(Exception):
    """A model server is not there, or has refused or failed a request.

    Not a `ValueError`: what was asked for need not be wrong.
    """
