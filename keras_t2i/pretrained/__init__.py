"""Trained networks that come with the package."""
