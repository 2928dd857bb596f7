"""The page itself, made of Gradio's components."""

import os
import urllib.parse
from collections.abc import Callable
from typing import Any

from keras_t2i.errors import ServerError
from keras_t2i.play.page_images import escaped
from keras_t2i.play.page_images import generated_images
from keras_t2i.play.page_images import images_in_style
from keras_t2i.play.page_images import interpolated_images
from keras_t2i.play.page_images import problem_shown
from keras_t2i.play.page_model import EXAMPLE
from keras_t2i.play.page_model import MAX_IMAGES
from keras_t2i.play.page_model import MAX_SEED
from keras_t2i.play.page_model import MAX_STYLE_BYTES
from keras_t2i.play.page_model import OTHER_EXAMPLE
from keras_t2i.play.page_model import PageModel
from keras_t2i.play.page_model import too_large
from keras_t2i.terminal import print_error

_IMAGES_AT_FIRST = 4
# Two requests are answered at a time, of all that ask the model: TensorFlow
# spreads each over all cores.
_ASKS_THE_MODEL: dict[str, Any] = {
    "concurrency_id": "model",
    "concurrency_limit": 2,
    # A press while an earlier one is answered is not lost.
    "trigger_mode": "always_last",
    "api_visibility": "private",
}
# Requests that wait. Those after them are told that the page is busy.
_MAX_WAITING = 100
# Gradio keeps 100 kB for each visitor, of so many.
_MAX_VISITORS = 200
_ADDRESS_SCRIPT = """
watch("value", () => {
  const shown = element.querySelector("[data-address]");
  if (shown)
    history.replaceState(null, "", location.pathname + shown.dataset.address);
});
"""
_SLIDE_SCRIPT = """
element.addEventListener("input", (event) => {
  const way = event.target.closest(".way");
  if (!way) return;
  const images = [...way.querySelectorAll(".steps img")];
  const step = event.target.value;
  images.forEach((image, number) => { image.hidden = number != step; });
  const percent = Math.round(100 * step / (images.length - 1));
  event.target.setAttribute("aria-valuetext", percent + "% of the way");
  way.querySelector("a.png").href = images[step].src;
});
"""
_STYLE_INPUT = """
<label for="style-file">Style image</label>
<input id="style-file" type="file" accept="image/*"
  aria-describedby="style-help">
<p id="style-help">JPEG, PNG, GIF, BMP, TIFF, WebP or PPM, at most %d MB. Choose
a file, or drop one here. It is not stored.</p>
"""
_READ_STYLE = """
async (captions) => {
  const file = document.querySelector("#style-file").files[0];
  if (!file) return [captions, "", ""];
  if (file.size > %d) return [captions, file.name, "%s"];
  const url = await new Promise((resolve) => {
    const reader = new FileReader();
    reader.onloadend = () => resolve(reader.result || "data:,");
    reader.readAsDataURL(file);
  });
  return [captions, file.name, url];
}
"""
_NO_ANSWER = (
    "The model does not answer now. Try again later. The terminal of "
    "keras-t2i play says why."
)
# In place of the content of a file.
_TOO_LARGE = "too large"
_OTHER_SEED = """(caption, seed, count) =>
  [caption, Math.floor(Math.random() * 1000000), count]"""
_ADDRESS = "() => location.search"
CSS = """
.gradio-container { width: 100% !important; max-width: 60rem !important;
  margin: 0 auto !important; }
h1 { font-size: 1.75rem; font-weight: 600; margin: 0.5rem 0 0.25rem; }
.shown, #style-help { color: var(--body-text-color-subdued); margin: 0; }
.problem { border-left: 4px solid #b42318; padding: 0.5rem 0.75rem;
  background: var(--background-fill-secondary); overflow-wrap: anywhere; }
.shown { overflow-wrap: anywhere; margin: 0.5rem 0; }
.images { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); }
figure { margin: 0; }
figure img, .steps img { width: 100%; height: auto; border-radius: 4px; }
figcaption { margin-top: 0.25rem; overflow-wrap: anywhere; }
figcaption a, .way a { margin: 0 0.75rem 0 0 !important;
  padding: 0 !important; }
.shown span { color: inherit; }
.way { max-width: 24rem; }
.way input { width: 100%; margin: 0.75rem 0 0; accent-color: #0f766e; }
.ends { display: flex; justify-content: space-between; gap: 2rem;
  overflow-wrap: anywhere; margin-bottom: 0.5rem; }
.ends span:last-child { text-align: right; }
#style label { font-weight: 600; display: block; }
#style-file { display: block; width: 100%; padding: 1.5rem 1rem;
  margin: 0.25rem 0; border: 2px dashed var(--body-text-color-subdued);
  border-radius: 8px; }
.dark { --color-accent: #5eead4 !important; }
:focus-visible { outline: 2px solid var(--color-accent) !important;
  outline-offset: 2px; }
"""


def make_page(model: PageModel, name: str) -> Any:
    """Returns the page as `gradio.Blocks`, which calls the model `name`."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio

    size = model.image_size
    with gradio.Blocks(title="keras_t2i", analytics_enabled=False) as page:
        gradio.HTML(
            "<h1>Images from captions</h1><p>Each image is generated, "
            f"{size} by {size} pixels, by {escaped(name)}.</p>"
        )
        with gradio.Tabs():
            with gradio.Tab("Generate"):
                _add_generate(gradio, page, model)
            with gradio.Tab("Interpolate"):
                _add_interpolate(gradio, model)
            with gradio.Tab("Style"):
                _add_style(gradio, model)
    page.queue(max_size=_MAX_WAITING)
    # The page has no state of a visitor that would be missed.
    page.state_session_capacity = _MAX_VISITORS
    return page


def _add_generate(gradio: Any, page: Any, model: PageModel) -> None:
    caption = gradio.Textbox(
        EXAMPLE, label="Caption", info="What the images show.", max_lines=4
    )
    with gradio.Row():
        seed = _number(gradio, "Seed", 0, info="Another seed, other images.")
        count = _number(
            *(gradio, "Images", _IMAGES_AT_FIRST),
            info=f"How many, at most {MAX_IMAGES}.",
        )
    with gradio.Row():
        generate = gradio.Button("Generate", variant="primary")
        other_seed = gradio.Button("Generate with another seed")
    images = gradio.HTML(js_on_load=_ADDRESS_SCRIPT)

    def show(caption: str, seed: Any, count: Any) -> str:
        generated = model.generate(caption, seed, count)
        return generated_images(
            generated, caption, int(seed), model.note_on(caption)
        )

    answer = _with_problems(show)
    inputs = [caption, seed, count]
    for event in generate.click, caption.submit, seed.submit, count.submit:
        event(answer, inputs, images, **_ASKS_THE_MODEL)
    # The seed is shown with its images, not before.
    other_seed.click(
        lambda *values: (answer(*values), values[1]),
        inputs,
        [images, seed],
        js=_OTHER_SEED,
        **_ASKS_THE_MODEL,
    )
    address = gradio.Textbox(visible=False)
    page.load(
        _asked_for, address, inputs, js=_ADDRESS, api_visibility="private"
    ).then(answer, inputs, images, **_ASKS_THE_MODEL)


def _asked_for(query: str) -> tuple[str, Any, Any]:
    """Returns the caption, the seed and the number that an address asks for.

    What is not there has its default. What is no number is left empty, and the
    page says so.

    Example:

    >>> from keras_t2i.play.page_layout import _asked_for
    >>> _asked_for("?caption=a+rose&seed=7&images=2")
    ('a rose', 7, 2)
    """
    values = dict(urllib.parse.parse_qsl(query.removeprefix("?")))

    def number(name: str, default: int) -> int | None:
        try:
            value = int(values.get(name, default))
        except ValueError:
            return None
        # Others cannot be shown in the page.
        return max(-MAX_SEED, min(value, MAX_SEED + 1))

    return (
        values.get("caption", EXAMPLE),
        number("seed", 0),
        number("images", 1 if values else _IMAGES_AT_FIRST),
    )


def _add_interpolate(gradio: Any, model: PageModel) -> None:
    captions, noises = "two captions", "two noises"
    between = gradio.Radio([captions, noises], value=captions, label="Between")
    caption = gradio.Textbox(EXAMPLE, label="Caption", max_lines=4)
    other_caption = gradio.Textbox(
        OTHER_EXAMPLE, label="Second caption", max_lines=4
    )
    with gradio.Row():
        seed = _number(gradio, "Seed", 0)
        other_seed = _number(gradio, "Second seed", 1, visible=False)
    interpolate = gradio.Button("Interpolate", variant="primary")
    images = gradio.HTML(js_on_load=_SLIDE_SCRIPT)

    def show(
        between: str, caption: str, second: str, seed: Any, other_seed: Any
    ) -> str:
        if between == noises:
            images = model.interpolate_noise(caption, seed, other_seed)
            ends = f"seed {int(seed)}", f"seed {int(other_seed)}"
            return interpolated_images(images, *ends)
        images = model.interpolate(caption, second, seed)
        return interpolated_images(images, caption, second)

    def fields(between: str) -> list[Any]:
        is_noise = between == noises
        return [
            gradio.update(visible=not is_noise),
            gradio.update(visible=is_noise),
        ]

    between.change(
        fields,
        between,
        [other_caption, other_seed],
        show_progress="hidden",
        api_visibility="private",
    )
    interpolate.click(
        _with_problems(show),
        [between, caption, other_caption, seed, other_seed],
        images,
        **_ASKS_THE_MODEL,
    )


def _add_style(gradio: Any, model: PageModel) -> None:
    if not model.has_styles:
        gradio.HTML(
            "<p>Style images need a style encoder, but this model has none. "
            "Train one with <code>keras-t2i train-style</code> and give it to "
            "this page with <code>--style-encoder</code>. For a served model, "
            "give it to <code>keras-t2i export</code>.</p>"
        )
        return
    gradio.HTML(_STYLE_INPUT % (MAX_STYLE_BYTES // 2**20), elem_id="style")
    captions = gradio.Textbox(
        f"{EXAMPLE}\n{OTHER_EXAMPLE}",
        label="Captions",
        info=f"One per line, at most {MAX_IMAGES}.",
        lines=3,
        max_lines=MAX_IMAGES,
    )
    transfer = gradio.Button("Generate in this style", variant="primary")
    images = gradio.HTML()
    name = gradio.Textbox(visible=False)
    style_file = gradio.Textbox(visible=False)

    def show(captions: str, name: str, style_file: str) -> str:
        if style_file == _TOO_LARGE:
            raise ValueError(too_large(name))
        content = style_file.partition(",")[2]
        return images_in_style(*model.transfer_style(content, name, captions))

    transfer.click(
        _with_problems(show),
        [captions, name, style_file],
        images,
        js=_READ_STYLE % (MAX_STYLE_BYTES, _TOO_LARGE),
        **_ASKS_THE_MODEL,
    )


def _number(gradio: Any, label: str, value: int, **options: Any) -> Any:
    # Narrow enough for two of them beside each other on a telephone.
    return gradio.Number(value, label=label, min_width=120, **options)


def _with_problems(show: Callable[..., str]) -> Callable[..., str]:
    """Shows what is wrong in place of images.

    What is wrong with the server of the model is not for visitors, who do not
    know its address: it is printed where the page was started.
    """

    def answer(*values: Any) -> str:
        try:
            return show(*values)
        except ValueError as error:
            return problem_shown(str(error))
        except ServerError as error:
            print_error(f"keras-t2i: {error}")
            return problem_shown(_NO_ANSWER)

    return answer


def make_theme() -> Any:
    """Returns the look: nothing that is loaded from elsewhere, as fonts are."""
    import gradio

    theme = gradio.themes.Default(
        primary_hue="teal",
        neutral_hue="stone",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    # Gradio's own colors have too little contrast to be read by everyone.
    return theme.set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        color_accent="*primary_700",
    )
