"""Trainings in run folders: recorded, resumed, one process at a time."""
