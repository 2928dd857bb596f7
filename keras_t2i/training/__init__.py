"""Trainings in run folders: recorded, resumable, one process at a time."""
