"""Writes tiny raw data sets in their published layouts."""

import pathlib
from collections.abc import Iterable

from PIL import Image


def write_image(path: pathlib.Path, color=(200, 30, 40), size=(20, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)


def write_text(path: pathlib.Path, text: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_flower(root: pathlib.Path, class_number: int, number: int):
    """One picture of the Oxford flowers and its two captions."""
    color = (10 * class_number, number, 0)
    write_image(root / f"jpg/image_{number:05d}.jpg", color)
    write_text(
        root / f"text_c10/class_{class_number:05d}/image_{number:05d}.txt",
        f"flower {number} of class {class_number}\nit is pretty\n",
    )


def write_class_list(
    root: pathlib.Path, split: str, class_numbers: Iterable[int]
):
    names = [f"class_{number:05d}\n" for number in class_numbers]
    write_text(root / f"{split}classes.txt", "".join(names))
