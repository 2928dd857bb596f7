"""Whether settings are whole numbers."""


def check_whole_number(value, name, at_least):
    """Raises `ValueError` for what is no whole number, or too small a one."""
    if value < at_least or value % 1 != 0:
        raise ValueError(
            f"`{name}` must be a whole number of at least {at_least}. "
            f"Received: {value!r}"
        )
