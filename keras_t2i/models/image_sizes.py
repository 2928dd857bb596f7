"""The image sizes that the networks come in."""

IMAGE_SIZES = (32, 64, 128, 256)


def check_image_size(image_size):
    """Raises `ValueError` for a size that the networks do not come in."""
    if image_size not in IMAGE_SIZES:
        raise ValueError(
            f"`image_size` must be one of {list(IMAGE_SIZES)}. Received: "
            f"{image_size!r}"
        )
