"""What a run has recorded, over its steps."""

from matplotlib.figure import Figure


def training_curves(lines):
    """Draws the losses and the accuracies of a run.

    Args:
        lines: list of dicts, as the lines of a run's `metrics.jsonl`: `step`
            and metrics whose names end in `loss` or `accuracy`.

    Returns:
        `matplotlib.figure.Figure` of two axes.

    Raises:
        ValueError: there is no line.

    Example:

    >>> lines = [
    ...     {"step": 10, "generator_loss": 2.0, "real_accuracy": 0.5},
    ...     {"step": 20, "generator_loss": 1.5, "real_accuracy": 0.7},
    ... ]
    >>> figure = keras_t2i.plots.training_curves(lines)
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss', 'accuracy']
    """
    if not lines:
        raise ValueError("`lines` must hold at least one. Received: none")
    figure = Figure(figsize=(9, 3.5), dpi=128, layout="constrained")
    steps = [line["step"] for line in lines]
    for axes, kind in zip(figure.subplots(1, 2), ("loss", "accuracy")):
        for name in lines[0]:
            if name.endswith(kind):
                label = name.removesuffix(kind).strip("_").replace("_", " ")
                values = [line[name] for line in lines]
                axes.plot(steps, values, linewidth=1, label=label or kind)
        axes.set_xlabel("step")
        axes.set_ylabel(kind)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure
