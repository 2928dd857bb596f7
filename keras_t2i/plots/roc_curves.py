"""Receiver operating characteristics side by side."""

from matplotlib.figure import Figure


def roc_curves(curves):
    """Draws ROC curves, with the area under each in the legend.

    Args:
        curves: dict of names to `keras_t2i.metrics.RocCurve`, as
            `keras_t2i.metrics.style_verification` returns it.

    Returns:
        `matplotlib.figure.Figure` of one axes.

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
    figure = Figure(figsize=(4.5, 4.5), dpi=128, layout="constrained")
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
