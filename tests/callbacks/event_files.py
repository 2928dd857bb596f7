"""Reads what is written for TensorBoard."""

import tensorflow as tf
from tensorflow.core.util import event_pb2


def read_events(folder):
    """What the event files of a folder hold, by tag and step."""
    events = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        for record in tf.data.TFRecordDataset(str(path), buffer_size=1024):
            event = event_pb2.Event.FromString(record.numpy())
            for value in event.summary.value:
                events.setdefault(value.tag, []).append((event.step, value))
    return events
