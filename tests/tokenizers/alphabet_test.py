from keras_t2i.tokenizers import ALPHABET
from keras_t2i.tokenizers import CHARACTER_IDS
from keras_t2i.tokenizers import MAX_CHARACTERS


def test_alphabet_has_70_columns_and_69_characters():
    assert len(ALPHABET) == 70
    assert len(set(ALPHABET)) == 69
    assert MAX_CHARACTERS == 201


def test_hyphen_has_its_later_place():
    assert ALPHABET[36] == ALPHABET[59] == "-"
    assert CHARACTER_IDS[ord("-")] == 60
    assert 37 not in CHARACTER_IDS


def test_places_by_hand():
    places = {"a": 1, "z": 26, "0": 27, "9": 36, ",": 38, "}": 69, " ": 70}
    assert {
        character: CHARACTER_IDS[ord(character)] for character in places
    } == places


def test_every_other_character_is_unknown():
    assert len(CHARACTER_IDS) == 128
    assert sum(place > 0 for place in CHARACTER_IDS) == 69
    assert CHARACTER_IDS[ord("A")] == CHARACTER_IDS[ord("\n")] == 0
