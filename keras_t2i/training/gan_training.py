"""The training of a GAN: a prepared data set and a text encoder -> a GAN."""

from typing import Any

import keras
import numpy as np

from keras_t2i.callbacks.checkpoints import KeepBest
from keras_t2i.callbacks.recording import CollapseWarning
from keras_t2i.callbacks.recording import ImageGrid
from keras_t2i.datasets.examples import ExtractedEmbeddings
from keras_t2i.datasets.examples import PreparedExamples
from keras_t2i.datasets.manifest import Manifest
from keras_t2i.datasets.manifest import data_fingerprint
from keras_t2i.datasets.manifest import read_embedding_manifest
from keras_t2i.datasets.manifest import read_manifest
from keras_t2i.errors import TrainingError
from keras_t2i.evaluation.generated_images import EvaluationCaptions
from keras_t2i.evaluation.generated_images import seen_by_models
from keras_t2i.evaluation.judge import Judge
from keras_t2i.evaluation.judge import load_judge
from keras_t2i.evaluation.quick_evaluation import QuickEvaluation
from keras_t2i.files import atomic_write
from keras_t2i.models.from_recipe import OF_NETWORKS
from keras_t2i.models.from_recipe import gan_optimizer
from keras_t2i.models.text_to_image_gan import TextToImageGAN
from keras_t2i.plots.grids import image_grid
from keras_t2i.progress import show_progress
from keras_t2i.recipe_batches import recipe_batches
from keras_t2i.recipes.recipe import MEASURED_SPLIT
from keras_t2i.recipes.recipe import MEASURED_STEPS
from keras_t2i.recipes.recipe import MEASURES
from keras_t2i.recipes.recipe import Recipe
from keras_t2i.terminal import is_quiet
from keras_t2i.terminal import print_note
from keras_t2i.terminal import print_result
from keras_t2i.terminal import quiet
from keras_t2i.text.embeddings import PrecomputedEmbeddings
from keras_t2i.text.embeddings import embeddings_fingerprint
from keras_t2i.training.model_files import gan_digest
from keras_t2i.training.model_files import load_source
from keras_t2i.training.model_files import load_text_encoder
from keras_t2i.training.model_files import take_weights
from keras_t2i.training.precomputed import embeddings_beside
from keras_t2i.training.precomputed import given_embeddings
from keras_t2i.training.run_folder import RunFolder
from keras_t2i.training.run_folder import check_there
from keras_t2i.training.runner import failures_while_running
from keras_t2i.training.runner import fit_run
from keras_t2i.training.runner import num_images
from keras_t2i.training.runner import set_up
from keras_t2i.training.runner import total_steps
from keras_t2i.training.runner import training_split
from keras_t2i.training.training_checks import NEEDS_CAPTIONS
from keras_t2i.training.training_checks import check_batch_size
from keras_t2i.training.training_checks import check_devices
from keras_t2i.training.training_checks import check_embedding_dim
from keras_t2i.training.training_checks import check_gan_memory
from keras_t2i.training.training_checks import check_judge
from keras_t2i.training.training_checks import check_made_by
from keras_t2i.training.training_checks import check_measured
from keras_t2i.training.training_checks import checked_data
from keras_t2i.types import StrPath

_NUM_SAMPLES = 8
_FEW_STEPS = 1000


class GANTraining:
    """A training in a run folder, ready to `fit`.

    Before `fit`, only imported embeddings are written. `run` is a new folder,
    or that of the run to resume. `gan` is new, or that of the last checkpoint.
    `paths` maps the inputs of `keras_t2i.train` to paths, and those that are
    not given to `None`. With `keep_best`, `judge` measures the GAN every
    `measured_steps` steps. `None` stands for the judge of `evaluate`.

    Raises `ValueError` if an input is missing or damaged, or does not fit the
    recipe.
    """

    def __init__(
        self,
        run: RunFolder,
        recipe: Recipe,
        paths: dict[str, str | None],
        judge: Judge | None = None,
        measured_steps: int = MEASURED_STEPS,
    ) -> None:
        self._run = run
        self._recipe = recipe
        self._paths = paths
        self._measured_steps = measured_steps
        workers = run.workers
        with workers.together():
            self._read_inputs()
        self._embeddings: StrPath | None = None
        given = paths["text_embeddings"]
        if given is not None:
            self._embeddings = workers.chief_first(
                lambda: given_embeddings(given, self._data)
            )
            manifest = read_embedding_manifest(self._embeddings)
            self._digests["text_embeddings"] = manifest.fingerprint
        with workers.together():
            self._plan_steps()
        run.check_same(recipe, self._inputs())
        set_up(recipe)
        with workers.scope():
            if run.last_step():
                self.gan = run.load_checkpoint(TextToImageGAN)
            else:
                self.gan = self._new_gan()
        with workers.together():
            self._check_checkpoint()
            self._check_moved_encoder()
            # The recipe of a checkpoint may have another duration.
            self.gan.recipe = self._recipe_of_gan()
            self._read_data(judge)
        self._check_encoder_of_embeddings()

    def _read_inputs(self) -> None:
        paths = self._paths
        self._data = checked_data(self._recipe, paths)
        self._manifest = read_manifest(self._data)
        self._digests: dict[str, str | None] = {
            "data": data_fingerprint(self._manifest)
        }
        model = paths["model"]
        if model is not None:
            self._digests["model"] = gan_digest(model, self._run)
        # A trained GAN has an encoder. Its embeddings lie with the data set, so
        # that nothing is written to another run.
        self._encoder_path = paths["text_encoder"]
        if model is not None and paths["text_embeddings"] is None:
            self._encoder_path = self._data

    def _plan_steps(self) -> None:
        """Decides the split and the steps, and checks that both can be had."""
        recipe, run = self._recipe, self._run
        run.check_unchanged(self._inputs())
        self._split = training_split(self._manifest)
        if recipe.keep_best is not None:
            self._split = "train"
        self._num_images = num_images(self._manifest, self._split)
        self._steps = total_steps(recipe, self._steps_per_epoch)
        if recipe.keep_best is not None:
            check_measured(self._manifest, self._steps, self._measured_steps)
        check_devices(recipe, run.workers.num_devices)
        if not run.last_step():
            check_batch_size(recipe, self._num_images)
            check_gan_memory(self._recipe_of_gan(), run.workers.number)

    @property
    def _steps_per_epoch(self) -> int:
        return max(1, self._num_images // self._recipe.batch_size)

    def _read_data(self, judge: Judge | None) -> None:
        """Reads now what is needed, so that damaged data leave nothing behind.

        `judge` is for `keep_best`. `None` stands for that of `evaluate`.
        """
        paths = self._paths
        if self._embeddings is not None:
            check_embedding_dim(self._embeddings, self.gan.text_encoder, paths)
        reads_texts = paths["text_encoder"] is not None
        self._samples = _read_samples(
            self._data,
            self._manifest,
            None if reads_texts else self._embeddings,
        )
        self._make_batches()
        self._measured: tuple[EvaluationCaptions, Judge] | None = None
        if self._recipe.keep_best is not None:
            if isinstance(self.gan.text_encoder, PrecomputedEmbeddings):
                raise ValueError(NEEDS_CAPTIONS)
            captions = EvaluationCaptions(self._data, MEASURED_SPLIT)
            judge = load_judge() if judge is None else judge
            check_judge(judge, self.gan, captions, paths)
            self._measured = (captions, judge)

    def _check_encoder_of_embeddings(self) -> None:
        encoder, embeddings = self.gan.text_encoder, self._embeddings
        reads_texts = not isinstance(encoder, PrecomputedEmbeddings)
        if embeddings is None or not reads_texts or self._run.last_step():
            return
        workers = self._run.workers
        encoder = workers.own_copy(encoder)
        fingerprint = embeddings_fingerprint(self._manifest, encoder)
        with workers.together():
            if self._digests["text_embeddings"] != fingerprint:
                check_made_by(encoder, self._data, embeddings, self._paths)

    def plan(self) -> dict[str, Any]:
        """Returns the recipe, the inputs, and the sizes of all else.

        The steps are `None` where the recipe has minutes.
        """
        networks = ("generator", "discriminator", "text_encoder")
        return {
            "recipe": self._recipe.to_dict(),
            "inputs": self._paths,
            "image_size": self.gan.image_size,
            "num_images": self._num_images,
            "steps": self._steps,
            "parameters": {
                name: getattr(self.gan, name).count_params()
                for name in networks
            },
        }

    def fit(self) -> TextToImageGAN:
        """Trains; returns the GAN as it is after the last step.

        Raises `KeyboardInterrupt` if Ctrl-C has ended the training cleanly,
        `TrainingError` if it fails, and `FloatingPointError` if it diverges.
        """
        # What all workers would say, the chief says.
        with quiet(is_quiet() or not self._run.workers.is_chief):
            return self._fit()

    def _fit(self) -> TextToImageGAN:
        run, recipe = self._run, self._recipe
        self._find_embeddings()
        keep_best = self._keep_best()
        run.write_config(recipe, self._inputs())
        if recipe.epochs is not None and (self._steps or 0) < _FEW_STEPS:
            print_note(
                f"few steps: {recipe.epochs} epochs of {self._num_images} "
                f"images are {self._steps} steps, and images show little "
                f"before {_FEW_STEPS:,}. Set --steps or --minutes"
            )
        captions, images, text_embeddings = self._samples
        with failures_while_running(run):
            if run.workers.is_chief:
                _write_real_samples(run, captions, images)
                if keep_best is not None:
                    run.publish_best(keep_best.best_step)
            interruption = fit_run(
                run,
                self.gan,
                self._batches,
                recipe,
                self._steps_per_epoch,
                callbacks=lambda first_step: [
                    ImageGrid(
                        run.samples,
                        captions,
                        first_step=first_step,
                        text_embeddings=text_embeddings,
                    ),
                    CollapseWarning(first_step=first_step),
                ],
                keep_best=keep_best,
            )
            with run.workers.together():
                if run.workers.is_chief:
                    run.publish_model()
        if interruption is not None:
            raise interruption
        if keep_best is not None:
            print_result(f"best: {_best_of(run, keep_best)}")
        return self.gan

    def _new_gan(self) -> TextToImageGAN:
        recipe, path = self._recipe_of_gan(), self._paths["text_encoder"]
        model, source = self._paths["model"], None
        text_encoder: keras.Model | None = None
        if model is not None:
            has_embeddings = self._embeddings is not None
            source = load_source(model, recipe, has_embeddings)
            text_encoder = source.text_encoder
            text_encoder.trainable = recipe.end_to_end
        elif path is not None:
            text_encoder = load_text_encoder(path)
            text_encoder.trainable = recipe.end_to_end
        elif self._embeddings is not None:
            manifest = read_embedding_manifest(self._embeddings)
            text_encoder = PrecomputedEmbeddings(manifest.embedding_dim)
        gan = TextToImageGAN.from_recipe(recipe, text_encoder=text_encoder)
        gan.compile(
            *(
                gan_optimizer(recipe, network, self._steps_per_epoch)
                for network in ("generator", "discriminator")
            )
        )
        if source is not None:
            take_weights(gan, source)
        return gan

    def _check_checkpoint(self) -> None:
        """Raises `TrainingError` if the GAN is one of another run."""
        # Runs of before there were digests say less in their checkpoints.
        if self.gan.recipe is None or self._run.digest("data") is None:
            return
        expected = self._recipe_of_gan().to_dict()
        for name, value in self.gan.recipe.to_dict().items():
            if name in OF_NETWORKS and value != expected[name]:
                raise TrainingError(
                    f"The checkpoints in {self._run.checkpoints} must be of "
                    f"this run, with `{name}` {expected[name]}. Received: one "
                    f"of step {self._run.last_step()} with {value}. Remove "
                    "that file."
                )

    def _check_moved_encoder(self) -> None:
        """Raises `ValueError` if an encoder at a new path is another one.

        At the old path it is not compared: the checkpoint has its own copy.
        """
        path = self._paths["text_encoder"]
        has_moved = self._run.last_step() and path is not None
        if not has_moved or self._run.has_read("text_encoder", str(path)):
            return
        encoder = load_text_encoder(str(path))
        digest = embeddings_fingerprint(self._manifest, encoder)
        self._run.check_unchanged(
            {"text_encoder": {"path": path, "digest": digest}}
        )

    def _recipe_of_gan(self) -> Recipe:
        if self._recipe.image_size is not None:
            return self._recipe
        return self._recipe.override(image_size=self._manifest.image_size)

    def _make_batches(self) -> None:
        self._batches = recipe_batches(
            self.gan,
            self._recipe,
            self._data,
            self._split,
            self._embeddings,
            start_step=self._run.last_step(),
        )

    def _find_embeddings(self) -> None:
        """Finds the embeddings of all captions, or computes them."""
        text_encoder = self._encoder_path
        if self._recipe.end_to_end or text_encoder is None:
            return
        workers = self._run.workers
        encoder = workers.own_copy(self.gan.text_encoder)
        fingerprint = embeddings_fingerprint(self._manifest, encoder)
        self._digests["text_encoder"] = fingerprint
        if self._embeddings is not None:
            return
        with workers.together():
            check_there("text_encoder", text_encoder)
        self._embeddings = workers.chief_first(
            lambda: embeddings_beside(
                text_encoder, encoder, self._data, fingerprint
            )
        )
        manifest = read_embedding_manifest(self._embeddings)
        self._digests["text_embeddings"] = manifest.fingerprint
        # Read now, so that damaged embeddings leave nothing behind.
        self._make_batches()

    def _inputs(self) -> dict[str, dict[str, str | None]]:
        return {
            name: {"path": path, "digest": self._digests.get(name)}
            for name, path in self._paths.items()
            if path is not None
        }

    def _keep_best(self) -> KeepBest | None:
        if self._measured is None or self._recipe.keep_best is None:
            return None
        evaluation = QuickEvaluation(
            *self._measured, self.gan.image_size, show_progress
        )
        workers = self._run.workers
        monitor = f"val_{self._recipe.keep_best}"
        first_step = self._run.last_step()
        return KeepBest(
            self._run.written().best,
            workers.by_chief(evaluation.measure),
            monitor,
            MEASURES[self._recipe.keep_best],
            every_steps=self._measured_steps,
            first_step=first_step,
            earlier=self._run.measured_until(first_step, monitor),
        )


def _best_of(run: RunFolder, keep_best: KeepBest) -> str:
    if keep_best.best_step is None:
        return f"none; the training ended before step {keep_best.every_steps}"
    return (
        f"{run.best}, of step {keep_best.best_step}: "
        f"{keep_best.monitor} {keep_best.best:.5g}"
    )


def _read_samples(
    data: str, manifest: Manifest, embeddings: StrPath | None
) -> tuple[list[str], np.ndarray, np.ndarray | None]:
    """Returns captions, of unseen classes if possible, and their images.

    The third value is an embedding of each caption, if there are `embeddings`.
    """
    split = "test" if "test" in manifest.splits else next(iter(manifest.splits))
    examples = PreparedExamples(data, split)
    count = min(_NUM_SAMPLES, len(examples))
    indices = np.linspace(0, len(examples) - 1, count).astype(int)
    captions = [examples.read(index).captions[0] for index in indices]
    images = seen_by_models(examples, manifest.image_size)(indices)
    if embeddings is None:
        return captions, images, None
    extracted = ExtractedEmbeddings(embeddings, examples)
    rows = [extracted.read(int(index))[0] for index in indices]
    return captions, images, np.stack(rows)


def _write_real_samples(
    run: RunFolder, captions: list[str], images: np.ndarray
) -> None:
    run.samples.mkdir(parents=True, exist_ok=True)
    figure = image_grid(images[:, None], captions)
    with atomic_write(run.samples / "real.png") as temporary:
        figure.savefig(temporary, format="png")
