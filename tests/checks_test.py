import pytest

from keras_t2i.checks import check_image_size


@pytest.mark.parametrize("image_size", [32, 64, 128, 256])
def test_image_sizes(image_size):
    check_image_size(image_size)


@pytest.mark.parametrize("image_size", [0, 16, 48, 512, None, "64"])
def test_other_sizes_are_refused(image_size):
    with pytest.raises(ValueError, match=f"256.*Received: {image_size!r}"):
        check_image_size(image_size)
