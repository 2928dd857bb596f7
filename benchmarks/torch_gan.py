"""The same networks and updates in plain PyTorch, as people write them.

Three discriminator passes and one generator pass for the discriminator's
update, another generator pass for the generator's, and an exponential moving
average of the generator's weights.
"""

import copy

import torch
import torch.nn.functional as F
from torch import nn


def _convolution(inputs, outputs, kernel, stride=1, padding=0):
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)


class _Residual(nn.Module):
    def __init__(self, channels, activation):
        super().__init__()
        inner = channels // 4
        self.body = nn.Sequential(
            _convolution(channels, inner, 1),
            nn.BatchNorm2d(inner),
            activation(),
            _convolution(inner, inner, 3, padding=1),
            nn.BatchNorm2d(inner),
            activation(),
            _convolution(inner, channels, 1),
            nn.BatchNorm2d(channels),
        )
        self.activation = activation()

    def forward(self, x):
        return self.activation(x + self.body(x))


class Generator(nn.Module):
    def __init__(self, width, residual_blocks, text_dim, image_size=64):
        super().__init__()
        self.text = nn.Sequential(nn.Linear(text_dim, 128), nn.LeakyReLU(0.2))
        layers, channels, size = [], 228, 4
        while size < image_size:
            outputs = width * min(8, image_size // (2 * size))
            stride, padding = (1, 0) if size == 4 else (2, 1)
            layers += [
                nn.ConvTranspose2d(
                    channels, outputs, 4, stride, padding, bias=False
                ),
                nn.BatchNorm2d(outputs),
            ]
            if residual_blocks and size <= 8:
                layers.append(_Residual(outputs, nn.ReLU))
            else:
                layers.append(nn.ReLU())
            channels, size = outputs, 2 * size
        layers += [
            nn.ConvTranspose2d(channels, 3, 4, 2, 1, bias=False),
            nn.Tanh(),
        ]
        self.body = nn.Sequential(*layers)

    def forward(self, noise, text):
        x = torch.cat([noise, self.text(text)], 1)
        return self.body(x[:, :, None, None])


class Discriminator(nn.Module):
    def __init__(
        self, width, fusion_size, as_released, text_dim, image_size=64
    ):
        super().__init__()

        def activation():
            return nn.LeakyReLU(0.2)

        layers, channels, size = [], 3, image_size
        while size > fusion_size:
            first = size == image_size
            size //= 2
            outputs = width * min(8, image_size // (2 * size))
            layers.append(_convolution(channels, outputs, 4, 2, 1))
            if not (as_released and first):
                layers.append(nn.BatchNorm2d(outputs))
            if not (as_released and size <= 2 * fusion_size):
                layers.append(activation())
            channels = outputs
        if as_released:
            layers.append(_Residual(channels, activation))
        self.trunk = nn.Sequential(*layers)
        text = [nn.Linear(text_dim, 128)]
        if as_released:
            text.append(nn.BatchNorm1d(128))
        self.text = nn.Sequential(*text, activation())
        self.head = nn.Sequential(
            _convolution(channels + 128, channels, 1),
            nn.BatchNorm2d(channels),
            activation(),
            _convolution(channels, 1, fusion_size),
        )

    def forward(self, images, text):
        x = self.trunk(images)
        text = self.text(text)[:, :, None, None]
        text = text.expand(-1, -1, x.shape[2], x.shape[3])
        return self.head(torch.cat([x, text], 1)).flatten(1)


def trainer_of(recipe, text_dim):
    return Trainer(
        Generator(recipe.generator_width, recipe.residual_blocks, text_dim),
        Discriminator(
            recipe.discriminator_width,
            recipe.fusion_size,
            recipe.as_released,
            text_dim,
        ),
        recipe.precision,
        recipe.image_noise,
        recipe.mode_seeking_weight,
    )


def autocast_of(precision):
    return torch.autocast(
        "cpu", torch.bfloat16, enabled=precision == "mixed_bfloat16"
    )


def update_average(average, network):
    with torch.no_grad():
        torch._foreach_lerp_(
            list(average.parameters()), list(network.parameters()), 0.001
        )
        # Batch norm's statistics are averages already.
        torch._foreach_copy_(list(average.buffers()), list(network.buffers()))


class Trainer:
    def __init__(
        self,
        generator,
        discriminator,
        precision,
        image_noise,
        mode_seeking_weight,
    ):
        self.generator, self.discriminator = generator, discriminator
        self.image_noise = image_noise
        self.mode_seeking_weight = mode_seeking_weight
        for module in (*generator.modules(), *discriminator.modules()):
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.normal_(module.weight, 0.0, 0.02)
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)
        self.average = copy.deepcopy(generator).requires_grad_(False)
        self.optimizers = [
            torch.optim.Adam(network.parameters(), 2e-4, betas=(0.5, 0.999))
            for network in (generator, discriminator)
        ]
        self.autocast = autocast_of(precision)

    def _noisy(self, images):
        if not self.image_noise:
            return images
        return images + self.image_noise * torch.randn_like(images)

    def step(self, images, text, mismatched_text):
        rows = len(images)
        half = rows // 2
        between = 0.5 * (text[:half] + text[half : 2 * half])
        again = (
            text[: (rows + 3) // 4] if self.mode_seeking_weight else text[:0]
        )
        own = rows + len(again)
        all_text = torch.cat([text, again, between])
        generator_optimizer, discriminator_optimizer = self.optimizers

        with self.autocast:
            with torch.no_grad():
                fakes = self.generator(torch.randn(rows, 100), text)
            images, fakes = self._noisy(images), self._noisy(fakes)
            logits = [
                self.discriminator(images, text),
                self.discriminator(images, mismatched_text),
                self.discriminator(fakes, text),
            ]
        real, mismatched, generated = (value.float() for value in logits)
        loss = F.softplus(-real).mean() + 0.5 * (
            F.softplus(mismatched).mean() + F.softplus(generated).mean()
        )
        discriminator_optimizer.zero_grad()
        loss.backward()
        discriminator_optimizer.step()

        with self.autocast:
            noise = torch.randn(len(all_text), 100)
            fakes = self.generator(noise, all_text)
            noisy = self._noisy(fakes)
            logits = self.discriminator(noisy, all_text).float()
        loss = F.softplus(-logits[:own]).mean()
        loss = loss + F.softplus(-logits[own:]).mean()
        if self.mode_seeking_weight:
            image_change, noise_change = (
                (values[: len(again)] - values[rows:own]).float().abs().mean()
                for values in (fakes, noise)
            )
            loss = loss + self.mode_seeking_weight / (
                image_change / noise_change + 1e-5
            )
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()

        update_average(self.average, self.generator)
        return float(loss.detach())
