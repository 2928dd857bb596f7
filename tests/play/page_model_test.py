import base64
import pathlib

import numpy as np
import pytest

from keras_t2i import StyleEncoder
from keras_t2i.errors import ServerError
from keras_t2i.export import Client
from keras_t2i.export import export_saved_model
from keras_t2i.play.page_layout import _asked_for
from keras_t2i.play.page_layout import _with_problems
from keras_t2i.play.page_model import MAX_SEED
from keras_t2i.play.page_model import MAX_STYLE_BYTES
from keras_t2i.play.page_model import NUM_STEPS
from keras_t2i.play.page_model import PageModel
from tests.export.stand_in_servers import rest_stand_in
from tests.export.tiny_served import claiming_png
from tests.export.tiny_served import encode
from tests.export.tiny_served import style_images
from tests.tiny_models import IMAGE_SIZE

_FLOWERS = pathlib.Path(__file__).parents[2] / "saved_models" / "flowers"
_ROSE, _TULIP = "a red rose", "five white petals"


def _base64(content):
    return base64.b64encode(content).decode()


@pytest.fixture(scope="module")
def model(gan, style_encoder):
    return PageModel(gan, style_encoder)


@pytest.fixture(scope="module")
def saved_model(gan, style_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "flowers"
    return export_saved_model(gan, folder, style_encoder=style_encoder)


@pytest.fixture(scope="module")
def served_model(saved_model):
    with rest_stand_in(saved_model) as (address, _):
        yield PageModel(Client(address))


def test_generate(model, gan):
    np.testing.assert_array_equal(
        model.generate(_ROSE, 5, 3), gan.generate([_ROSE] * 3, seed=5)
    )


def test_interpolations(model, gan):
    images = model.interpolate(_ROSE, _TULIP, 5)
    np.testing.assert_array_equal(
        images, gan.interpolate(_ROSE, _TULIP, NUM_STEPS, seed=5)[0]
    )
    images = model.interpolate_noise(_ROSE, 5, 6)
    np.testing.assert_array_equal(images[0], gan.generate(_ROSE, seed=5)[0])
    np.testing.assert_array_equal(images[-1], gan.generate(_ROSE, seed=6)[0])


def test_transfer_style(model, gan, style_encoder):
    pixels = style_images(1)[0]
    style, captions, images = model.transfer_style(
        _base64(encode(pixels)), "a.png", f"{_ROSE}\n\n{_TULIP}\n"
    )
    np.testing.assert_array_equal(style, pixels)
    assert captions == [_ROSE, _TULIP]
    np.testing.assert_array_equal(
        images, gan.transfer_style(pixels[None], captions, style_encoder)[0]
    )


def test_a_served_model_gives_the_same(model, served_model):
    assert served_model.image_size == IMAGE_SIZE
    assert served_model.has_styles
    style = _base64(encode(style_images(1)[0])), "a.png", f"{_ROSE}\n{_TULIP}"
    for ask in (
        lambda model: model.generate(_ROSE, 5, 3),
        lambda model: model.interpolate(_ROSE, _TULIP, 5),
        lambda model: model.interpolate_noise(_ROSE, 5, 6),
        lambda model: model.transfer_style(*style)[2],
    ):
        found = ask(served_model).astype(int)
        # Of another batch size.
        assert np.abs(found - ask(model)).max() <= 1
    assert served_model.note_on("花" * 20) == ""


def test_models_without_styles(gan):
    assert not PageModel(gan).has_styles
    # That of the repository has some.
    assert PageModel(Client(_FLOWERS)).has_styles


def test_a_caption_that_is_not_known(model):
    assert model.note_on(_ROSE) == ""
    assert "does not know most of this caption" in model.note_on("花" * 20)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda m: m.generate(" ", 0, 1), "must hold some text. Received: ' '"),
        (lambda m: m.generate("a" * 10**6, 0, 1), "has 1,000,000 characters"),
        (lambda m: m.generate(["a"], 0, 1), r"must be a text.*\['a'\]"),
        (lambda m: m.generate("a", None, 1), "seed must.*Received: nothing"),
        (lambda m: m.generate("a", -1, 1), "seed must be a whole.*: -1"),
        (lambda m: m.generate("a", 2**53, 1), "Received: 9007199254740992"),
        (lambda m: m.generate("a", float("nan"), 1), "Received: nan"),
        (lambda m: m.generate("a", "1", 1), "Received: 1"),
        (lambda m: m.generate("a", 0, 17), "images must .* 1 to 16.*: 17"),
        (lambda m: m.generate("a", 0, 1.5), "images must .*: 1.5"),
        (lambda m: m.interpolate("a", "", 0), "must hold some text"),
        (lambda m: m.interpolate("a", "b", True), "seed must .*: True"),
        (lambda m: m.interpolate_noise("a", 0, None), "The second seed must"),
        (lambda m: m.generate("\ud800", 0, 1), "cannot be used: it is not UTF"),
        (lambda m: m.transfer_style("", "", "a"), "must be chosen.*: none"),
        (lambda m: m.transfer_style("", "a.png", "a"), ": a.png, which is emp"),
        (lambda m: m.transfer_style("", "", " \n"), "must hold some text"),
        (lambda m: m.transfer_style("", "", "a\n" * 17), "at most 16.*: 17"),
        (
            lambda m: m.transfer_style(_base64(b"text"), "a.txt", "a"),
            "a.txt: is not an image",
        ),
        (lambda m: m.transfer_style("?", "a.png", "a"), "is not an image"),
        (
            lambda m: m.transfer_style(
                _base64(claiming_png(10**5, 10**5)), "a.png", "a"
            ),
            "a.png: cannot be read as an image",
        ),
        (
            lambda m: m.transfer_style(
                _base64(bytes(MAX_STYLE_BYTES + 1)), "a.png", "a"
            ),
            "at most 10 MB. Received: a.png",
        ),
    ],
)
def test_bad_input(model, ask, message):
    with pytest.raises(ValueError, match=message):
        ask(model)


def test_a_served_model_that_is_down(saved_model):
    with rest_stand_in(saved_model) as (address, _):
        model = PageModel(Client(address))
    with pytest.raises(ServerError, match="Connection refused"):
        model.generate(_ROSE, 0, 1)
    with pytest.raises(ServerError, match="Connection refused"):
        PageModel(Client(address))


def test_numbers_of_an_address_that_a_page_cannot_show():
    for given, found in ((10**30, MAX_SEED + 1), (-(10**30), -MAX_SEED)):
        _, seed, count = _asked_for(f"?seed={given}&images={given}")
        assert seed == count == found


def test_style_encoders_that_do_not_fit(gan, style_encoder):
    with pytest.raises(ValueError, match="exported or served"):
        PageModel(Client("http://localhost:1/v1/models/a"), style_encoder)
    with pytest.raises(ValueError, match="must lead from images"):
        PageModel(gan, StyleEncoder(IMAGE_SIZE, width=2, noise_dim=5))


def test_visitors_do_not_see_the_address_of_the_server(capsys):
    message = "http://10.0.0.1:8501/v1/models/a has answered 500"

    def fail():
        raise ServerError(message)

    shown = _with_problems(fail)()
    assert "does not answer" in shown
    assert "10.0.0.1" not in shown
    assert message in capsys.readouterr().err
