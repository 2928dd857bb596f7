"""Readers of other programs' files, which trust and execute nothing in them."""
