"""Measures generated images against the real ones of a prepared data set."""

from keras_t2i.evaluation.full_evaluation import Evaluation
from keras_t2i.evaluation.full_evaluation import evaluate_images
from keras_t2i.evaluation.generated_images import EvaluationCaptions
from keras_t2i.evaluation.generated_images import FolderImages
from keras_t2i.evaluation.generated_images import ModelImages
from keras_t2i.evaluation.judge import CaptionMatch
from keras_t2i.evaluation.judge import Judge
from keras_t2i.evaluation.judge import load_judge
from keras_t2i.evaluation.quick_evaluation import QuickEvaluation

__all__ = [
    "CaptionMatch",
    "Evaluation",
    "EvaluationCaptions",
    "FolderImages",
    "Judge",
    "ModelImages",
    "QuickEvaluation",
    "evaluate_images",
    "load_judge",
]
