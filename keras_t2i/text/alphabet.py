"""The 70 characters that the char-CNN-RNN reads."""

# "-" stands twice, as in the published code, whose look-up keeps the later
# place: column 37 is never set.
ALPHABET = (
    "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+-=<>()[]{} "
)

# A code point below 128 -> its place in the alphabet, from 1; 0 elsewhere.
CHARACTER_IDS = [0] * 128
for _place, _character in enumerate(ALPHABET, start=1):
    CHARACTER_IDS[ord(_character)] = _place

# Characters beyond this many are cut (Reed et al., 2016, CVPR).
MAX_CHARACTERS = 201
