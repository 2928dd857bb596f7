import numpy as np
import pytest

from keras_t2i.datasets.cub_birds import KEY_POINTS
from keras_t2i.datasets.cub_birds import CubBirds
from keras_t2i.datasets.cub_birds import cub_key_points
from keras_t2i.metrics import style_clusters
from keras_t2i.metrics import style_verification
from tests.datasets.cub_birds_test import BIRDS
from tests.datasets.cub_birds_test import write_birds
from tests.datasets.raw_files import write_text

# Other numbers than the published ones: names count.
_PARTS = ("back", "tail", "beak", "left eye", "crown", "belly", "breast")
_PARTS += ("forehead",)


@pytest.fixture
def root(tmp_path):
    """Two birds with all parts, one without a beak, one outside its box."""
    write_birds(tmp_path)
    cub = tmp_path / "CUB_200_2011"
    write_text(
        cub / "parts/parts.txt",
        "".join(f"{n} {name}\n" for n, name in enumerate(_PARTS, start=1)),
    )
    lines = []
    for bird in (1, 2, 3):
        for number, name in enumerate(_PARTS, start=1):
            hidden = bird == 3 and name == "beak"
            x, y = (0.0, 0.0) if hidden else (10.0 + number, 6.0 + bird)
            lines.append(f"{bird} {number} {x} {y} {0 if hidden else 1}")
    write_text(cub / "parts/part_locs.txt", "\n".join(lines) + "\n")
    return tmp_path


def test_key_points_are_fractions_of_the_box(root):
    found = cub_key_points(root)
    ids = [f"{bird.class_name}/{bird.stem}" for bird in BIRDS[:2]]
    assert list(found) == ids
    # The boxes start at (10, 6) and are 26 wide and 20 high.
    for row, id in enumerate(ids, start=1):
        assert found[id].shape == (6, 2)
        for name, (x, y) in zip(KEY_POINTS, found[id]):
            assert x == pytest.approx((_PARTS.index(name) + 1) / 26)
            assert y == pytest.approx(row / 20)
    np.testing.assert_array_equal(
        cub_key_points(root / "CUB_200_2011")[ids[0]], found[ids[0]]
    )


def test_poses_are_styles_that_can_be_verified(root):
    """As docs/style.md clusters them, with birds nearly like these two."""
    points = np.stack(list(cub_key_points(root).values()))
    both = np.concatenate([points, points + 1e-3])
    poses = style_clusters(both.reshape(-1, 12), num_clusters=2)
    assert poses[0] == poses[2] != poses[1] == poses[3]
    vectors = np.array([[1.0, 0.1], [0.1, 1.0], [1.0, 0.2], [0.2, 1.0]])
    curves = style_verification({"S(x)": vectors}, poses)
    assert curves["S(x)"].auc == 1.0


def test_ids_are_those_of_the_prepared_data_set(root):
    source = CubBirds(root)
    keys = [key for split in source.splits().values() for key in split]
    ids = {source.read(key, 32).id for key in keys}
    assert set(cub_key_points(root)) <= ids


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("parts/part_locs.txt", None, "part_locs.txt in .*no such file"),
        ("parts/part_locs.txt", "1 2 3.0\n", "line 1 must hold 5 values"),
        ("parts/part_locs.txt", "\n1 2 x 0 1\n", "line 2 .*'1 2 x 0 1'"),
        ("parts/parts.txt", "1 beak\n", r"without \['belly', 'breast'"),
        ("bounding_boxes.txt", "1 2 3 4\n", "bounding_boxes.txt line 1"),
    ],
)
def test_damaged_lists(root, file, text, message):
    path = root / "CUB_200_2011" / file
    path.unlink()
    if text is not None:
        write_text(path, text)
    with pytest.raises(ValueError, match=message):
        cub_key_points(root)


def test_no_birds(tmp_path):
    with pytest.raises(ValueError, match="CUB_200_2011"):
        cub_key_points(tmp_path)
