"""PyTorch peer: a plain eager loop over the same networks, as a PyTorch user would write it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.data.dataset import Dataset
from benchmarks.runs import Run
from benchmarks.settings.run import RunSettings
from benchmarks.speed.peer import EVALUATION_BATCH, standardized_parts

_ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "elu": nn.ELU, "gelu": nn.GELU}
_INITIALIZERS = {"glorot_uniform": nn.init.xavier_uniform_, "he_normal": nn.init.kaiming_normal_}


def train_run(run: Run, dataset: Dataset) -> float:
    """Train one run and give its test accuracy."""
    settings = run.cell.settings
    torch.manual_seed(run.seed)
    parts = {
        name: (_as_tensor(inputs), torch.from_numpy(labels.astype(np.int64)))
        for name, (inputs, labels) in standardized_parts(run, dataset).items()
    }
    model = _network(settings, dataset)
    optimizer = _optimizer(settings, model)
    inputs, labels = parts["train"]
    for _ in range(settings.train.epochs):
        model.train()
        for indices in torch.randperm(len(labels)).split(settings.train.batch_size):
            loss = nn.functional.cross_entropy(model(inputs[indices]), labels[indices])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        _accuracy(model, *parts["validation"])
    return _accuracy(model, *parts["test"])


def _as_tensor(inputs: Any) -> torch.Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(inputs))
    return tensor.permute(0, 3, 1, 2).contiguous() if tensor.ndim == 4 else tensor


def _accuracy(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> float:
    model.eval()
    with torch.no_grad():
        found = torch.cat([model(batch).argmax(1) for batch in inputs.split(EVALUATION_BATCH)])
    return float((found == labels).float().mean())


def _optimizer(settings: RunSettings, model: nn.Module) -> torch.optim.Optimizer:
    rate = settings.train.coefficients()["learning_rate"]
    if settings.train.optimizer == "momentum":
        return torch.optim.SGD(model.parameters(), rate, momentum=0.9)
    return torch.optim.Adam(model.parameters(), rate)


def _network(settings: RunSettings, dataset: Dataset) -> nn.Module:
    config: Any = settings.model
    if config.family == "resnet":
        network: nn.Module = _ResNet(config.width, dataset.input_shape[-1], dataset.num_classes)
    else:
        network = _perceptron(config, int(np.prod(dataset.input_shape)), dataset.num_classes)
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            _INITIALIZERS[config.initializer](module.weight)
    return network


def _perceptron(config: Any, num_inputs: int, num_classes: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for width in config.widths:
        layers.append(nn.Linear(num_inputs, width, bias=config.hidden_bias))
        if config.normalization == "batch":
            layers.append(nn.BatchNorm1d(width))
        layers.append(_ACTIVATIONS[config.activation]())
        if config.dropout:
            layers.append(nn.Dropout(config.dropout))
        num_inputs = width
    return nn.Sequential(*layers, nn.Linear(num_inputs, num_classes))


class _ResNet(nn.Module):  # type: ignore[misc] # PyTorch is not there when types are checked
    """The residual network of 8 layers: one basic block in each of three stages, shortcuts without parameters."""

    def __init__(self, width: int, channels: int, num_classes: int):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        widths = [width, 2 * width, 4 * width]
        self.blocks = nn.ModuleList(
            _branch(before, after, 1 if before == after else 2)
            for before, after in zip([width, *widths[:-1]], widths, strict=True)
        )
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        features = torch.relu(self.stem(inputs))
        for block in self.blocks:
            hidden = block(features)
            added = hidden.shape[1] - features.shape[1]
            if added:
                features = nn.functional.pad(features[:, :, ::2, ::2], (0, 0, 0, 0, added // 2, added - added // 2))
            features = torch.relu(hidden + features)
        logits: torch.Tensor = self.head(features.mean((2, 3)))
        return logits


def _branch(before: int, after: int, strides: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, strides, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
    )
