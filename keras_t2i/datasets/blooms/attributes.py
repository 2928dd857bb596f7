"""The values that a bloom's attributes take, and their colors in RGB."""

PETAL_COLORS = (
    "red",
    "orange",
    "yellow",
    "pink",
    "purple",
    "blue",
    "turquoise",
    "white",
)
CENTER_COLORS = ("yellow", "white", "green", "brown", "black")
PETAL_COUNTS = (3, 4, 5, 6, 8)
PETAL_SHAPES = ("round", "pointed", "narrow")
BACKGROUNDS = ("grass", "sky", "soil", "stone")

SPLITS = ("train", "val", "test")
MIN_IMAGE_SIZE = 32
MAX_IMAGE_SIZE = 256

PETAL_RGB = {
    "red": (220, 30, 40),
    "orange": (246, 132, 22),
    "yellow": (252, 220, 40),
    "pink": (252, 150, 196),
    "purple": (136, 48, 190),
    "blue": (40, 72, 218),
    "turquoise": (26, 204, 192),
    "white": (246, 244, 240),
}
CENTER_RGB = {
    "yellow": (250, 208, 44),
    "white": (248, 246, 240),
    "green": (112, 186, 52),
    "brown": (146, 84, 40),
    "black": (30, 26, 30),
}
BACKGROUND_RGB = {
    "grass": (56, 104, 48),
    "sky": (116, 164, 212),
    "soil": (84, 60, 44),
    "stone": (128, 126, 122),
}
