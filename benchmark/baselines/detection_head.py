"""A light head that finds objects on the feature maps of a network, without anchors.

Each cell of the finest map says of every class how likely an object's middle is there (CenterNet's heat map), and how
far the four sides of its box are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.baselines.pyramid import WIDTH, Pyramid
from benchmark.datasets.detection import Found

FINEST_STRIDE = 4
"""Maps finer than so many pixels a cell are not read: they cost time and say little of objects."""
_RARE = -4.0  # logit of a heat map before training: most cells are no object's middle
_SPREAD = 0.12  # deviation of the heat round an object's middle, in sides of its box
_NEAR = 0.3  # heat from which a cell learns the sides of the box
_LEAST_SCORE, _MOST_A_WINDOW = 0.01, 100


class DetectionNetwork(nn.Module):
    """A backbone, the joined map, and two outputs for each cell.

    Args:
        backbone: from [B, channels, S, S] to feature maps of falling size.
        widths: channels of those maps.
        classes: of objects.
        typical_px: side of a typical object in pixels of the window.
        frozen: whether the backbone keeps its weights.
    """

    def __init__(
        self,
        backbone: Callable[[Tensor], list[Tensor]],
        widths: Sequence[int],
        classes: int,
        typical_px: float,
        *,
        frozen: bool,
    ) -> None:
        super().__init__()
        self.backbone, self.frozen, self.typical_px = backbone, frozen, typical_px
        self.pyramid = Pyramid(widths)
        self.shared = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU())
        self.heat = nn.Conv2d(WIDTH, classes, 1)
        self.sides = nn.Conv2d(WIDTH, 4, 1)
        nn.init.constant_(self.heat.bias, _RARE)  # pyright: ignore[reportArgumentType]  # it has a bias
        nn.init.zeros_(self.sides.weight)

    def train(self, mode: bool = True) -> DetectionNetwork:
        """As of every module; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.frozen and isinstance(self.backbone, nn.Module):
            self.backbone.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[B, channels, S, S] to logits [B, classes, h, w] and boxes [B, 4, h, w] in pixels of the window."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            maps = self.backbone(images)
        x = self.shared(self.pyramid(maps))
        stride = images.shape[-1] / x.shape[-1]
        # Distances to the sides start at half a typical object, and stay within a factor of e^4 of it.
        far = 0.5 * self.typical_px * self.sides(x).clamp(-4, 4).exp()
        at_x, at_y = cell_middles(x.shape[-1], stride, x.device)
        left, top, right, bottom = far.unbind(1)
        return self.heat(x), torch.stack([at_x - left, at_y - top, at_x + right, at_y + bottom], dim=1)


class CoarseEnough(nn.Module):
    """The maps of a backbone whose cells have FINEST_STRIDE pixels or more; of finer ones alone the coarsest.

    Args:
        backbone: from [B, channels, S, S] to feature maps of falling size.
        widths: channels of those maps.
        side: S.
        channels: of the images.
    """

    def __init__(self, backbone: nn.Module, widths: Sequence[int], side: int, channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        with torch.no_grad():
            sizes = [each.shape[-1] for each in backbone.eval()(torch.zeros(1, channels, side, side))]
        kept = [level for level, size in enumerate(sizes) if size * FINEST_STRIDE <= side] or [len(sizes) - 1]
        self.kept, self.widths = tuple(kept), tuple(widths[level] for level in kept)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images to those maps."""
        maps = self.backbone(images)
        return [maps[level] for level in self.kept]


def cell_middles(cells: int, stride: float, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Columns float32 [1, cells] and rows [cells, 1] of the middles of cells, in pixels."""
    at = (torch.arange(cells, device=device, dtype=torch.float32) + 0.5) * stride
    return at[None], at[:, None]


def targets(
    boxes: Sequence[np.ndarray], labels: Sequence[np.ndarray], classes: int, cells: int, stride: float
) -> tuple[Tensor, Tensor, Tensor]:
    """What the network should say of B windows.

    Args:
        boxes: of each window float64 [n, 4] in its pixels.
        labels: of each window int64 [n].
        classes: of objects.
        cells: along a side of the map.
        stride: pixels of a cell's side.

    Returns:
        Heat [B, classes, cells, cells], 1 at the cell of an object's middle; boxes [B, 4, cells, cells], of the nearest
        object; and how much each cell's box counts [B, cells, cells], 1 in all for each object.
    """
    heat = np.zeros((len(boxes), classes, cells, cells), np.float32)
    sides = np.zeros((len(boxes), 4, cells, cells), np.float32)
    counts = np.zeros((len(boxes), cells, cells), np.float32)
    at = (np.arange(cells) + 0.5) * stride
    for window, (own, names) in enumerate(zip(boxes, labels, strict=True)):
        nearest = np.zeros((cells, cells), np.float32)
        # Large ones first: a small object on a large one keeps its cells.
        for index in np.argsort(-(own[:, 2:] - own[:, :2]).prod(axis=1), kind="stable"):
            left, top, right, bottom = own[index]
            column, row = (min(cells - 1, int((a + b) / 2 / stride)) for a, b in ((left, right), (top, bottom)))
            across, down = (max(_SPREAD * length, 0.3 * stride) for length in (right - left, bottom - top))
            bump = np.exp(-0.5 * ((at[:, None] - at[row]) / down) ** 2 - 0.5 * ((at - at[column]) / across) ** 2)
            bump = bump.astype(np.float32)
            heat[window, names[index]] = np.maximum(heat[window, names[index]], bump)
            near = (bump >= _NEAR) & (bump >= nearest)
            nearest = np.maximum(nearest, bump)
            sides[window][:, near] = own[index][:, None]
            counts[window][near] = bump[near] / bump[near].sum()
    return torch.from_numpy(heat), torch.from_numpy(sides), torch.from_numpy(counts)


def detection_loss(said: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Focal loss of the heat map, less strict near a middle, and generalised IoU of the boxes, for each object."""
    logits, boxes = said
    heat, sides, counts = wanted
    sure, missed = F.logsigmoid(logits), F.logsigmoid(-logits)
    middle = heat >= 1
    right = -((1 - sure.exp()) ** 2 * sure)[middle].sum()
    wrong = -((1 - heat) ** 4 * sure.exp() ** 2 * missed)[~middle].sum()
    objects = middle.sum().clamp(min=1)
    learned = counts > 0
    pairs = (each.permute(0, 2, 3, 1)[learned] for each in (boxes, sides))
    box_loss = ((1 - generalised_overlap(*pairs)) * counts[learned]).sum()
    return (right + wrong + 2 * box_loss) / objects


def generalised_overlap(first: Tensor, second: Tensor) -> Tensor:
    """Generalised intersection over union [N] of boxes [N, 4] and [N, 4]: below 0 where they lie apart."""

    def area(boxes: Tensor) -> Tensor:
        return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)

    low, high = torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    union = area(first) + area(second) - shared
    outer = torch.cat([torch.minimum(first[:, :2], second[:, :2]), torch.maximum(first[:, 2:], second[:, 2:])], dim=1)
    hull = area(outer).clamp(min=1e-6)
    return shared / union.clamp(min=1e-6) - (hull - union) / hull


def decoded(said: tuple[Tensor, Tensor]) -> list[Found]:
    """What the network says of B windows as boxes: the peaks of its heat maps, in pixels of the window."""
    logits, boxes = said
    heat = logits.sigmoid()
    peaks = heat * (heat == F.max_pool2d(heat, 3, 1, 1))
    found = []
    for own, sides in zip(peaks, boxes, strict=True):
        scores, at = own.flatten().topk(min(_MOST_A_WINDOW, own.numel()))
        at, scores = at[scores >= _LEAST_SCORE], scores[scores >= _LEAST_SCORE]
        cell = at % own[0].numel()
        found.append(
            Found(
                sides.flatten(1).T[cell].double().numpy(),
                scores.double().numpy(),
                (at // own[0].numel()).numpy(),
            )
        )
    return found
