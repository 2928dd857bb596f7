"""Curves of a run's metrics, and receiver operating characteristics."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from keras_t2i.plots.grids import NotebookFigure

_KINDS = ("loss", "error", "accuracy", "r_squared", "diversity", "weight")


def training_curves(lines: Sequence[Mapping[str, Any]]) -> Figure:
    """Plots the metrics of a run, each kind of metric in axes of its own.

    Args:
        lines: list of dicts, as the lines of a run's `metrics.jsonl`: `step`
            and metrics whose names end in `loss`, `error`, `accuracy`,
            `r_squared`, `diversity` or `weight`. Lines may lack some of them.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: there is no line, one has no `step`, or there is no metric.

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
    for line in lines:
        if "step" not in line:
            raise ValueError(
                "`lines` must each hold a `step`, as those of metrics.jsonl. "
                f"Received: {line!r}"
            )
    logged = dict.fromkeys(name for line in lines for name in line)
    names = {
        kind: [name for name in logged if name.endswith(kind)]
        for kind in _KINDS
    }
    names = {kind: found for kind, found in names.items() if found}
    if not names:
        raise ValueError(
            f"`lines` must hold metrics whose names end in one of {_KINDS}. "
            f"Received: {sorted(logged)}"
        )
    figure = NotebookFigure(
        figsize=(4.5 * len(names), 3.5), dpi=128, layout="constrained"
    )
    (row,) = figure.subplots(1, len(names), squeeze=False)
    for axes, (kind, found) in zip(row, names.items()):
        for name in found:
            label = name.removesuffix(kind).strip("_").replace("_", " ")
            points = [
                (line["step"], line[name]) for line in lines if name in line
            ]
            # One point alone makes no line.
            marker = "." if len(points) == 1 else None
            axes.plot(
                *zip(*points), marker=marker, linewidth=1, label=label or kind
            )
        axes.set_xlabel("step")
        axes.set_ylabel(kind)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure


def roc_curves(curves: Mapping[str, Any]) -> Figure:
    """Plots ROC curves, with the area under each in the legend.

    Args:
        curves: dict of names to `keras_t2i.metrics.RocCurve`, as
            returned by `keras_t2i.metrics.style_verification`.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: there is no curve.

    Example:

    >>> curve = keras_t2i.metrics.RocCurve(
    ...     np.array([0.0, 0.1, 1.0]), np.array([0.0, 0.8, 1.0]), 0.85
    ... )
    >>> figure = keras_t2i.plots.roc_curves({"GAN-INT": curve})
    >>> figure.axes[0].lines[0].get_label()
    'GAN-INT (AUC 0.850)'

    Reference:
        - [Reed et al., 2016](https://arxiv.org/abs/1605.05396), section 5.
    """
    if not curves:
        raise ValueError("`curves` must hold at least one. Received: none")
    figure = NotebookFigure(figsize=(4.5, 4.5), dpi=128, layout="constrained")
    axes = figure.subplots()
    for name, curve in curves.items():
        axes.plot(
            curve.false_positive_rates,
            curve.true_positive_rates,
            linewidth=1.2,
            label=f"{name} (AUC {curve.auc:.3f})",
        )
    axes.plot([0, 1], [0, 1], color="gray", linestyle=":", linewidth=1)
    axes.set(
        xlabel="pairs of other styles accepted",
        ylabel="pairs of one style accepted",
        # So that a perfect curve shows beside the frame.
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
        aspect="equal",
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")
    return figure
