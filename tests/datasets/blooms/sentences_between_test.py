import dataclasses

from keras_t2i.datasets import blooms


def test_the_sentence_in_between_says_half_of_each():
    for a, b, between in zip(*blooms.sentences_between("test", 200)):
        a, b, between = map(blooms.content_of_caption, (a, b, between))
        assert all(a[name] != b[name] for name in a)
        of_a = [name for name in a if between[name] == a[name]]
        of_b = [name for name in b if between[name] == b[name]]
        assert len(of_a) == len(of_b) == 2


def test_the_words_around_are_the_same():
    def frame(sentence):
        """The sentence without what it names."""
        content = blooms.content_of_caption(sentence)
        words = sentence.replace("an orange", "a orange").split()
        values = {str(value) for value in content.values()}
        numbers = {"three", "four", "five", "six", "eight", "3", "4", "5", "6"}
        shapes = {"round", "rounded", "pointed", "pointy", "narrow", "thin"}
        named = values | numbers | shapes | {"8"}
        return [word for word in words if word not in named]

    for sentences in zip(*blooms.sentences_between("test", 200, seed=1)):
        assert len({tuple(frame(sentence)) for sentence in sentences}) == 1


def test_pairs_are_of_the_split_and_of_the_seed():
    names = {
        dataclasses.astuple(content) for content in blooms.contents("test")
    }
    a, b, _ = blooms.sentences_between("test", 50)
    for sentence in a + b:
        content = blooms.Content(**blooms.content_of_caption(sentence))
        assert dataclasses.astuple(content) in names
    assert blooms.sentences_between("test", 50) == (a, b, _)
    assert blooms.sentences_between("test", 50, seed=1)[0] != a
