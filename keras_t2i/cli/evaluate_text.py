"""`keras-t2i evaluate-text`: what a trained text encoder understands."""

import json


def add_parser(subparsers):
    """Adds the command to the program's parser."""
    parser = subparsers.add_parser(
        "evaluate-text",
        help="measure what a trained text encoder understands",
        description="Prints as JSON, for the images and captions of a split: "
        "how often an image is closest to the mean caption of its own class "
        "(zero_shot_accuracy, if the classes were not trained on), which share "
        "of the 50 images closest to a class is of it (precision_at_50), and "
        "how often a caption's own image is among the first it finds "
        "(recall_at_1 and so on). On blooms also how much of each attribute a "
        "linear classifier reads from captions, and how near the mean of two "
        "sentences' embeddings is to the sentence in between.",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        required=True,
        help="prepared data set, made by `prepare`",
    )
    parser.add_argument(
        "--text-encoder",
        metavar="RUN_OR_FILE",
        required=True,
        help="run folder of `train-text`, or a .keras file of one; or a .t7 "
        "file of Reed et al. (2016), for which features are the images' "
        "embeddings",
    )
    parser.add_argument(
        "--image-features",
        metavar="PATH",
        help="features of the split's images, of several views the first; for "
        "an encoder that was trained with features (default: those of the "
        "network that it was trained with by its name)",
    )
    parser.add_argument(
        "--split",
        default="test",
        metavar="NAME",
        help="split to measure on (default: test)",
    )
    parser.set_defaults(run=_run)


def _run(arguments):
    from keras_t2i.cli.text_evaluation import evaluate_text
    from keras_t2i.training.model_files import load_joint_embedding

    model = load_joint_embedding(arguments.text_encoder)
    results = evaluate_text(
        model, arguments.data, arguments.split, arguments.image_features
    )
    print(json.dumps(results, indent=2))
