"""The classic recipe, written with torchdiffeq: the baseline of this package's training step.

Network, solver calls and image pipeline follow the description of torchdiffeq's MNIST example: the
time as a constant plane concatenated to the state before each convolution, `odeint` or
`odeint_adjoint` with rtol = atol = 1e-3, images decoded and cropped one by one with PIL in two
worker processes, and SGD with momentum 0.9 at a learning rate of 0.1. In favour of the baseline,
the workers persist between epochs, and the seconds of an epoch exclude evaluation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torchdiffeq import odeint, odeint_adjoint
from torchvision import transforms
from torchvision.datasets import MNIST

TOLERANCE = 1e-3
BATCH = 128
WORKERS = 2


def norm(channels: int) -> nn.Module:
    """Group normalization with at most 32 groups."""
    return nn.GroupNorm(min(32, channels), channels)


class ConcatConv2d(nn.Module):
    """3×3 convolution of the state with the time as an additional constant channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(channels + 1, channels, 3, padding=1)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """Return the convolution of [t, x]."""
        plane = torch.ones_like(x[:, :1]) * t
        convolved: Tensor = self.layer(torch.cat([plane, x], 1))
        return convolved


class OdeFunction(nn.Module):
    """norm, ReLU, convolution, norm, ReLU, convolution, norm; counts its calls."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (norm(channels) for _ in range(3))
        self.conv1, self.conv2 = ConcatConv2d(channels), ConcatConv2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.evaluations = 0

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """Return dx/dt."""
        self.evaluations += 1
        out = self.conv1(t, self.relu(self.norm1(x)))
        out = self.conv2(t, self.relu(self.norm2(out)))
        derivative: Tensor = self.norm3(out)
        return derivative


class OdeBlock(nn.Module):
    """x(0) → x(1)."""

    def __init__(self, function: OdeFunction, method: str, *, adjoint: bool) -> None:
        super().__init__()
        self.function, self.method = function, method
        self.odeint: Callable[..., Tensor] = odeint_adjoint if adjoint else odeint
        self.times = torch.tensor([0.0, 1.0])

    def forward(self, x: Tensor) -> Tensor:
        """Return the state at t = 1."""
        times = self.times.type_as(x)
        return self.odeint(
            self.function, x, times, rtol=TOLERANCE, atol=TOLERANCE, method=self.method
        )[1]


def build_network(method: str, *, adjoint: bool, channels: int = 64) -> nn.Sequential:
    """Return the example's network for 28×28 grey images: 208,266 parameters."""
    stem = [
        nn.Conv2d(1, channels, 3, 1),
        norm(channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, 4, 2, 1),
        norm(channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, 4, 2, 1),
    ]
    block = OdeBlock(OdeFunction(channels), method, adjoint=adjoint)
    head = [
        norm(channels),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
        nn.Linear(channels, 10),
    ]
    return nn.Sequential(*stem, block, *head)


def image_batches(data_dir: Path, images: int, seed: int) -> DataLoader[tuple[Tensor, Tensor]]:
    """Return the example's loader over the first images of MNIST's training set."""
    pipeline = transforms.Compose([transforms.RandomCrop(28, padding=4), transforms.ToTensor()])
    return DataLoader(
        Subset(MNIST(str(data_dir), train=True, transform=pipeline), range(images)),
        batch_size=BATCH,
        shuffle=True,
        num_workers=WORKERS,
        drop_last=True,
        persistent_workers=True,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(seed),
    )


class ReferenceTraining:
    """The training loop of the example, one epoch at a time.

    Args:
        method: name of the solver in torchdiffeq.
        adjoint: whether to use the adjoint method.
        data_dir: directory with MNIST/raw.
        images: number of training images.
        device: a CPU or a GPU.
        seed: of the weights and the order of images.
    """

    def __init__(
        self,
        method: str,
        *,
        adjoint: bool,
        data_dir: Path,
        images: int,
        device: torch.device,
        seed: int,
    ) -> None:
        torch.manual_seed(seed)
        self.device = device
        self.network = build_network(method, adjoint=adjoint).to(device)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.1, momentum=0.9)
        self.criterion = nn.CrossEntropyLoss().to(device)
        self.loader = image_batches(data_dir, images, seed)
        self.evaluations_forward = self.evaluations_backward = 0.0
        """Function evaluations per batch of the last epoch."""
        self.function = next(m for m in self.network.modules() if isinstance(m, OdeFunction))

    def epoch(self, batches: int | None = None) -> float:
        """Train one epoch, or its first `batches` batches, and return the mean loss."""
        self.network.train()
        batch_losses, forward, backward, count = [], 0, 0, 0
        for images, labels in itertools.islice(iter(self.loader), batches):
            self.optimizer.zero_grad()
            images, labels = images.to(self.device), labels.to(self.device)
            self.function.evaluations = 0
            loss = self.criterion(self.network(images), labels)
            forward += self.function.evaluations
            self.function.evaluations = 0
            loss.backward()
            self.optimizer.step()
            backward += self.function.evaluations
            batch_losses.append(loss.detach())
            count += 1
        self.evaluations_forward, self.evaluations_backward = forward / count, backward / count
        return torch.stack(batch_losses).mean().item()

    def accuracy(self, batches: Iterator[tuple[Tensor, Tensor]]) -> float:
        """Return the share of images classified correctly."""
        self.network.eval()
        with torch.no_grad():
            hits = [
                (self.network(images).argmax(1) == labels).float().mean()
                for images, labels in batches
            ]
        return torch.stack(hits).mean().item()
