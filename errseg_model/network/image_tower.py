"""Image towers: a picture becomes features at four strides and dense embeddings at two of them (paper, 3.2)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import timm
import torch.nn.functional as F
from torch import Tensor, nn

from errseg_model.network.class_parts import by_parts

HIDDEN_AT_A_TIME = 2_500_000
"""Numbers of the hidden layer of a ConvNeXt block: 10 MB."""


@dataclass(frozen=True)
class ImageFeatures:
    """What the rest of the network reads of an image (h = H / stride, w = W / stride)."""

    stages: tuple[Tensor, Tensor, Tensor, Tensor]
    """Features at strides 4, 8, 16, 32, each (B, width, h, w)."""
    dense16: Tensor
    """(B, C, H/16, W/16) embeddings in the text's space, not normalised."""
    dense32: Tensor
    """(B, C, H/32, W/32)."""


class ImageTower(nn.Module):
    """Base of the towers."""

    def forward(self, images: Tensor) -> ImageFeatures:
        """Normalised images (B, 3, H, W), H and W multiples of 32."""
        raise NotImplementedError


class TokenMLP(nn.Module):
    """The MLP of a ConvNeXt block over some rows at a time: the hidden layer is four times as wide as the features."""

    def __init__(self, mlp: Any) -> None:
        """`mlp` is timm's, whose layers and names of weights stay."""
        super().__init__()
        self.fc1: Any = mlp.fc1
        self.act: Any = mlp.act
        self.fc2: Any = mlp.fc2

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, h, w, D) to tokens of the same shape."""
        rows = max(1, HIDDEN_AT_A_TIME // (x.shape[2] * self.fc1.out_features))
        return by_parts(lambda part: self.fc2(self.act(self.fc1(part))), rows, x)


class ConvNeXtTower(ImageTower):
    """CLIP's ConvNeXt (open_clip) with a second, finer way through its last stage.

    `modify_downsample` replaces the last stage's downsampling by a convolution of stride 1, so that the same
    stage-4 blocks and the same CLIP head also read stride 16 (paper, 3.2; "HSM").
    """

    def __init__(self, visual: Any) -> None:
        super().__init__()
        self.trunk: Any = visual.trunk
        self.head: Any = visual.head
        for block in (block for stage in visual.trunk.stages for block in stage.blocks):
            if isinstance(block.mlp.fc1, nn.Linear):  # not where timm computes it of a picture, by convolutions
                block.mlp = TokenMLP(block.mlp)
        norm, convolution = visual.trunk.stages[3].downsample
        finer = nn.Conv2d(convolution.in_channels, convolution.out_channels, kernel_size=2, stride=1)
        finer.load_state_dict(convolution.state_dict())
        self.modify_downsample = nn.Sequential(copy.deepcopy(norm), nn.ZeroPad2d(1), finer)

    def forward(self, images: Tensor) -> ImageFeatures:
        """See `ImageTower`."""
        x = self.trunk.stem(images)
        stride4 = self.trunk.stages[0](x)
        stride8 = self.trunk.stages[1](stride4)
        stride16 = self.trunk.stages[2](stride8)
        last = self.trunk.stages[3]
        stride32 = last(stride16)
        # The padded 2x2 convolution yields one row and one column too many: resize back.
        finer = F.interpolate(
            self.modify_downsample(stride16), size=stride16.shape[-2:], mode="bilinear", align_corners=False
        )
        return ImageFeatures(
            stages=(stride4, stride8, stride16, stride32),
            dense16=self.embed(last.blocks(finer)),
            dense32=self.embed(stride32),
        )

    def embed(self, x: Tensor) -> Tensor:
        """Stage-4 features (B, 1024, h, w) to CLIP embeddings (B, C, h, w), per pixel."""
        x = self.trunk.head.norm(x)
        dense: Tensor = self.head(x.permute(0, 2, 3, 1))
        return dense.permute(0, 3, 1, 2)


class EfficientNetLiteTower(ImageTower):
    """timm's `tf_efficientnet_lite*`: ReLU6 and no squeeze-and-excitation, made for small processors.

    Stage 4 (stride 32) is timm's blocks 5 and 6. As in `ConvNeXtTower` the layer that halves the resolution has
    a copy of stride 1, `modify_downsample`, and the rest of the stage and the head serve both strides.
    """

    def __init__(self, name: str, embedding_size: int) -> None:
        super().__init__()
        trunk: Any = timm.create_model(name, pretrained=False)
        trunk.reset_classifier(0)
        self.trunk: Any = trunk
        self.head = nn.Linear(trunk.num_features, embedding_size, bias=False)
        finer = copy.deepcopy(trunk.blocks[5][0])
        coarse = finer.conv_dw
        finer.conv_dw = nn.Conv2d(
            coarse.in_channels,
            coarse.out_channels,
            kernel_size=coarse.kernel_size,
            padding=coarse.kernel_size[0] // 2,
            groups=coarse.groups,
            bias=False,
        )
        self.modify_downsample: Any = finer
        self.start_modify_downsample()

    def start_modify_downsample(self) -> None:
        """Give `modify_downsample` the weights of the layer that it is the stride-1 twin of."""
        self.modify_downsample.load_state_dict(self.trunk.blocks[5][0].state_dict())

    def forward(self, images: Tensor) -> ImageFeatures:
        """See `ImageTower`."""
        trunk = self.trunk
        x = trunk.blocks[0](trunk.bn1(trunk.conv_stem(images)))
        stride4 = trunk.blocks[1](x)
        stride8 = trunk.blocks[2](stride4)
        stride16 = trunk.blocks[4](trunk.blocks[3](stride8))
        stride32 = self.finish_stage(trunk.blocks[5][0](stride16))
        return ImageFeatures(
            stages=(stride4, stride8, stride16, stride32),
            dense16=self.embed(self.finish_stage(self.modify_downsample(stride16))),
            dense32=self.embed(stride32),
        )

    def finish_stage(self, x: Tensor) -> Tensor:
        """Stage 4 after its downsampling layer: (B, 192, h, w) to (B, 320, h, w) for lite0."""
        stride32: Tensor = self.trunk.blocks[6](self.trunk.blocks[5][1:](x))
        return stride32

    def embed(self, x: Tensor) -> Tensor:
        """Stage-4 features to embeddings (B, C, h, w), per pixel: ImageNet's last features, then a projection."""
        x = self.trunk.bn2(self.trunk.conv_head(x))
        dense: Tensor = self.head(x.permute(0, 2, 3, 1))
        return dense.permute(0, 3, 1, 2)
