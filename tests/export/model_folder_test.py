from keras_t2i.export.model_folder import newest_entry
from keras_t2i.export.model_folder import next_version
from keras_t2i.export.model_folder import versions


def test_the_next_version_is_after_all_that_is_there(tmp_path):
    assert next_version(tmp_path / "none") == next_version(tmp_path) == 1
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "saved_model.pb").touch()
    assert next_version(tmp_path) == 3
    # No whole version, as one that is being copied, and no folder.
    (tmp_path / "9").mkdir()
    assert next_version(tmp_path) == 10
    (tmp_path / "11").touch()
    assert newest_entry(tmp_path) == tmp_path / "11"
    assert next_version(tmp_path) == 12
    assert versions(tmp_path) == [2]


def test_what_has_no_number_for_a_name_is_no_version(tmp_path):
    for name in (".tmp-3-0a", "v3", "3.5", "-3", "٣", "assets"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    assert versions(tmp_path) == []
    assert newest_entry(tmp_path) is None
    assert next_version(tmp_path) == 1
