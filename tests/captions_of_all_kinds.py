"""Captions that must be read alike wherever they are read."""

CAPTIONS_OF_ALL_KINDS = (
    # Combining marks, right to left, emoji, U+FFFD and NUL.
    *("e\u0301 a", "שלום a", "🌹 👩\u200d🌾", "a\ufffdb", "a\0b", "xN\u0303"),
    # Too long, one of them only when it is folded.
    *("a" * 202, "a " * 202, "ß" * 101),
)
