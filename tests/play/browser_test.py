"""The page in a real browser: Debian's Chromium, driven by Playwright."""

import base64
import io
import os
import shutil
import time
import urllib.parse

import numpy as np
import PIL.Image
import pytest

from keras_t2i.play.page_model import NUM_STEPS
from tests.export.tiny_served import encode
from tests.export.tiny_served import style_images

_REQUIRE = "KERAS_T2I_REQUIRE_CHROMIUM"
_CHROMIUM = shutil.which("chromium")
_OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
# Long enough for a machine that does much else.
_MILLISECONDS = 60_000

pytestmark = pytest.mark.skipif(
    _CHROMIUM is None and _REQUIRE not in os.environ,
    reason="no chromium on the PATH: apt-get install chromium",
)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_CHROMIUM, args=_OPTIONS
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(browser, address):
    """One page for all tests. Everything that it asks for is recorded."""
    context = browser.new_context()
    context.set_default_timeout(_MILLISECONDS)
    page = context.new_page()
    page.asked = []
    page.errors = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on(
        "console",
        lambda message: (
            message.type == "error"
            and page.errors.append(f"{message.text} {message.location}")
        ),
    )
    page.goto(address)
    yield page
    context.close()


def _generate(page, caption, seed, count=1):
    page.get_by_role("tab", name="Generate").click()
    panel = page.get_by_role("tabpanel")
    panel.get_by_role("textbox").fill(caption)
    panel.get_by_label("Seed", exact=True).fill(str(seed))
    panel.get_by_label("Images", exact=True).fill(str(count))
    panel.get_by_role("button", name="Generate", exact=True).click()


def _pixels(url):
    with PIL.Image.open(_file(url)) as image:
        return np.asarray(image.convert("RGB"))


def _file(url):
    return io.BytesIO(base64.b64decode(url.partition(",")[2]))


def _downloaded(page, link):
    with page.expect_download() as download:
        link.click()
    return download.value


def test_an_image_is_there_at_first(page, gan):
    image = page.get_by_alt_text("a pink flower with a yellow center, seed 0")
    image.wait_for()
    assert page.title() == "keras_t2i"
    heading = page.get_by_role("heading", level=1)
    assert heading.inner_text() == "Images from captions"
    # The name of the model, which is no HTML.
    assert "by runs/<b>gan." in page.locator("body").inner_text()


def test_generate(page, gan):
    _generate(page, "a red rose", 5, 2)
    images = page.get_by_alt_text("a red rose, seed")
    images.nth(1).wait_for()
    found = [_pixels(image.get_attribute("src")) for image in images.all()]
    np.testing.assert_array_equal(found, gan.generate(["a red rose"] * 2, 5))
    link = page.get_by_label("PNG of a red rose, seed 6")
    download = _downloaded(page, link)
    assert download.suggested_filename == "a-red-rose-seed6.png"
    np.testing.assert_array_equal(PIL.Image.open(download.path()), found[1])


def test_the_address_leads_back(page, address):
    _generate(page, "a red & blue rose?", 9, 3)
    page.get_by_alt_text("a red & blue rose?, seed 11").wait_for()
    shared = page.url
    assert shared.startswith(address)
    query = urllib.parse.urlsplit(shared).query
    assert dict(urllib.parse.parse_qsl(query)) == {
        "caption": "a red & blue rose?",
        "seed": "9",
        "images": "3",
    }
    image = page.get_by_alt_text("a red & blue rose?, seed 10")
    shown = image.get_attribute("src")
    page.goto(shared)
    image.wait_for()
    assert image.get_attribute("src") == shown
    assert page.get_by_label("Seed", exact=True).first.input_value() == "9"
    page.get_by_role("link", name="seed 10", exact=True).click()
    page.get_by_text("a red & blue rose?, seed 10.").wait_for()
    assert image.get_attribute("src") == shown


def test_another_seed(page):
    _generate(page, "a tulip", 2**53 - 1)
    page.get_by_alt_text("a tulip, seed").wait_for()
    page.get_by_role("button", name="Generate with another seed").click()
    page.get_by_text(f"seed {2**53 - 1}.").wait_for(state="hidden")
    image = page.get_by_alt_text("a tulip, seed")
    image.wait_for()
    seed = page.get_by_label("Seed", exact=True).first.input_value()
    assert int(seed) < 1_000_000
    assert image.get_attribute("alt") == f"a tulip, seed {seed}"


def test_errors_are_shown(page):
    _generate(page, " ", 5)
    page.get_by_role("alert").get_by_text("must hold some text").wait_for()
    before = page.url
    _generate(page, "a" * 10**6, 5)
    page.get_by_role("alert").get_by_text("1,000,000 char").wait_for()
    _generate(page, "a rose", 5, 99)
    page.get_by_role("alert").get_by_text("Received: 99").wait_for()
    _generate(page, "a rose", "", 1)
    page.get_by_role("alert").get_by_text("Received: nothing").wait_for()
    _generate(page, "a rose", 1.5, 1)
    page.get_by_role("alert").get_by_text("Received: 1.5").wait_for()
    # The address stays that of the last images.
    assert page.url == before


def test_a_caption_that_no_address_can_hold(page, address):
    _generate(page, "a rose " * 400, 5)
    page.get_by_alt_text("..., seed 5").wait_for()
    assert page.url == f"{address}/"


def test_the_last_press_counts(page, gan, monkeypatch):
    generate = gan.generate

    def slowly(*arguments):
        time.sleep(1.0)
        return generate(*arguments)

    monkeypatch.setattr(gan, "generate", slowly)
    for seed in 1, 2, 3:
        _generate(page, "a lily", seed)
    page.get_by_alt_text("a lily, seed 3").wait_for()
    other_seed = page.get_by_role("button", name="Generate with another seed")
    other_seed.click()
    other_seed.click()
    page.wait_for_timeout(3000)
    seed = page.get_by_label("Seed", exact=True).first.input_value()
    image = page.get_by_alt_text("a lily, seed")
    assert seed != "3"
    assert image.get_attribute("alt") == f"a lily, seed {seed}"


def test_a_page_that_was_offline(browser, address):
    context = browser.new_context()
    context.set_default_timeout(_MILLISECONDS)
    page = context.new_page()
    page.goto(address)
    page.get_by_alt_text("seed 0").first.wait_for()
    context.set_offline(True)
    _generate(page, "a red rose", 5)
    page.get_by_text("Connection to the server was lost").wait_for()
    context.set_offline(False)
    page.get_by_text("Connection to the server was lost").wait_for(
        state="hidden"
    )
    _generate(page, "a blue tulip", 6)
    page.get_by_alt_text("a blue tulip, seed 6").wait_for()
    context.close()


def test_by_keyboard_alone(page):
    caption = page.get_by_role("textbox").first
    caption.fill("a daisy")
    caption.focus()
    focused = []
    for _ in range(4):
        page.keyboard.press("Tab")
        focused.append(
            page.evaluate(
                "document.activeElement.ariaLabel"
                " || document.activeElement.textContent.trim()"
            )
        )
    assert focused[-2:] == ["Generate", "Generate with another seed"]
    page.get_by_label("Seed", exact=True).first.fill("4")
    page.keyboard.press("Enter")
    page.get_by_alt_text("a daisy, seed 4").wait_for()


def test_slide_between_captions(page, gan):
    page.get_by_role("tab", name="Interpolate").click()
    panel = page.get_by_role("tabpanel")
    panel.get_by_role("textbox").first.fill("a red rose")
    panel.get_by_label("Second caption").fill("a blue tulip")
    panel.get_by_label("Seed", exact=True).fill("3")
    panel.get_by_role("button", name="Interpolate").click()
    slider = page.get_by_label("from a red rose to a blue tulip")
    slider.wait_for()
    expected = gan.interpolate("a red rose", "a blue tulip", NUM_STEPS, 3)[0]

    def shown():
        return _pixels(panel.locator(".steps img:visible").get_attribute("src"))

    np.testing.assert_array_equal(shown(), expected[NUM_STEPS // 2])
    # By the keyboard, which moves what a screen reader says too.
    slider.press("ArrowRight")
    np.testing.assert_array_equal(shown(), expected[NUM_STEPS // 2 + 1])
    assert slider.get_attribute("aria-valuetext") == "56% of the way"
    slider.press("End")
    np.testing.assert_array_equal(shown(), expected[-1])
    download = _downloaded(page, page.get_by_text("PNG of this image"))
    assert download.suggested_filename == "a-red-rose-to-a-blue-tulip.png"
    np.testing.assert_array_equal(PIL.Image.open(download.path()), expected[-1])
    download = _downloaded(page, page.get_by_text("GIF of all images"))
    assert download.suggested_filename == "a-red-rose-to-a-blue-tulip.gif"
    with PIL.Image.open(download.path()) as animation:
        assert (animation.format, animation.n_frames) == ("GIF", NUM_STEPS)


def test_slide_between_noises(page, gan):
    panel = page.get_by_role("tabpanel")
    panel.get_by_label("two noises").check()
    panel.get_by_label("Second seed").fill("8")
    panel.get_by_label("Second caption").wait_for(state="hidden")
    panel.get_by_role("button", name="Interpolate").click()
    slider = page.get_by_label("from seed 3 to seed 8")
    slider.press("Home")
    shown = panel.locator(".steps img:visible").get_attribute("src")
    expected = gan.generate("a red rose", seed=3)[0]
    np.testing.assert_array_equal(_pixels(shown), expected)


def test_a_style_image(page, gan, style_encoder, tmp_path):
    page.get_by_role("tab", name="Style").click()
    panel = page.get_by_role("tabpanel")
    button = panel.get_by_role("button", name="Generate in this style")
    button.click()
    panel.get_by_role("alert").get_by_text("must be chosen").wait_for()
    file = panel.locator("input[type=file]")
    (pixels,) = style_images(1)
    # Dropped, as from the desktop.
    file.evaluate(
        """(input, bytes) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "photo.png"));
          input.files = data.files;
          input.dispatchEvent(new DragEvent("drop", { dataTransfer: data }));
        }""",
        list(encode(pixels)),
    )
    panel.get_by_label("Captions").fill("a red rose\na blue tulip")
    button.click()
    style = panel.get_by_alt_text("The style image", exact=True)
    style.wait_for()
    np.testing.assert_array_equal(_pixels(style.get_attribute("src")), pixels)
    expected = gan.transfer_style(
        pixels[None], ["a red rose", "a blue tulip"], style_encoder
    )[0]
    for caption, image in zip(["a red rose", "a blue tulip"], expected):
        shown = panel.get_by_alt_text(f"{caption}, in the style of")
        np.testing.assert_array_equal(
            _pixels(shown.get_attribute("src")), image
        )
    notes, large = tmp_path / "notes.txt", tmp_path / "large.png"
    notes.write_text("no image")
    with large.open("wb") as opened:
        opened.truncate(10 * 2**20 + 1)
    for bad_file, message in (
        (notes, "notes.txt: is not an image"),
        (large, "at most 10 MB. Received: large.png"),
    ):
        file.set_input_files(bad_file)
        button.click()
        panel.get_by_role("alert").get_by_text(message).wait_for()


@pytest.mark.parametrize("width", [375, 1440])
def test_it_fits_the_screen(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    for tab in "Generate", "Interpolate", "Style":
        page.get_by_role("tab", name=tab).click()
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide == width


# Text in front of the nearest background that is not transparent.
_LOW_CONTRAST = """() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [red, green, blue] = numbers(color).map((value) => {
      value /= 255;
      if (value <= 0.03928) return value / 12.92;
      return ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const background = (element) => {
    for (; element; element = element.parentElement) {
      const color = getComputedStyle(element).backgroundColor;
      if ((numbers(color)[3] ?? 1) == 1) return color;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("body *")].filter((element) => {
    const texts = [...element.childNodes].filter((node) => node.nodeType == 3);
    if (!texts.some((node) => node.textContent.trim())) return false;
    if (!element.checkVisibility()) return false;
    const lights = [getComputedStyle(element).color, background(element)];
    const [least, most] = lights.map(light).sort((a, b) => a - b);
    return (most + 0.05) / (least + 0.05) < 4.5;
  }).map((element) => element.outerHTML.slice(0, 200));
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read(page, address, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto(address)
    page.get_by_alt_text("seed 0").wait_for()
    for tab in "Generate", "Interpolate", "Style":
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(300)
        assert page.evaluate(_LOW_CONTRAST) == []


# The last one: it looks at what all others have asked for.
def test_nothing_leaves_the_machine(page, address):
    asked = {
        urllib.parse.urlsplit(url).netloc
        for url in page.asked
        if not url.startswith("data:")
    }
    assert asked == {urllib.parse.urlsplit(address).netloc}
    assert len(page.asked) > 50
    assert page.errors == []
