"""Linear nodes of NIR: the shapes they give, and their weights as matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from neurocore.compiler.nirread import Node

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

LINEAR = ("Linear", "Affine", "Scale", "Conv2d", "Flatten")
POOLS = ("SumPool2d", "AvgPool2d")


def _pair(node: Node, name: str, default: int | None = None, least: int = 0) -> tuple[int, int]:
    values = node.parameters.get(name)
    if values is None and default is not None:
        return default, default
    if values is None or values.dtype.kind not in "iu" or values.size not in (1, 2) or values.min() < least:
        shown = "missing" if values is None else f"{values.tolist()!r}"
        raise ValueError(
            f"node {node.name!r} ({node.kind}): {name} is {shown}; one or two whole numbers of at least {least} were"
            " expected"
        )
    rows, columns = np.broadcast_to(values.reshape(-1), 2).tolist()
    return int(rows), int(columns)


def _weight(node: Node, n_axes: int) -> Array:
    weight = node.parameters.get("weight")
    if weight is None or weight.ndim != n_axes:
        shown = "missing" if weight is None else f"of shape {list(weight.shape)}"
        raise ValueError(f"node {node.name!r} ({node.kind}): weight is {shown}; {n_axes} axes were expected")
    return weight.astype(np.float64)


def pool_kernel(node: Node) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Window, stride and padding (rows, columns) of a pool or a convolution, dilation included."""
    stride = _pair(node, "stride", 1, least=1)
    if node.kind == "Conv2d":
        size = _weight(node, 4).shape[2:]
        dilation = _pair(node, "dilation", 1, least=1)
        window = dilation[0] * (size[0] - 1) + 1, dilation[1] * (size[1] - 1) + 1
        padding = node.parameters.get("padding")
        if padding is not None and padding.dtype.kind == "U":
            return window, stride, _named_padding(node, str(padding), window)
    else:
        window = _pair(node, "kernel_size", least=1)
        stride = _pair(node, "stride", least=1)
    return window, stride, _pair(node, "padding", 0)


def _named_padding(node: Node, name: str, window: tuple[int, int]) -> tuple[int, int]:
    if name == "valid":
        return 0, 0
    if name != "same" or window[0] % 2 == 0 or window[1] % 2 == 0:
        raise ValueError(
            f"node {node.name!r} (Conv2d): padding {name!r} of a window of {window[0]} x {window[1]} is not supported"
        )
    return window[0] // 2, window[1] // 2


def _check_bias(node: Node, n_channels: int) -> None:
    bias = node.parameters.get("bias")
    if bias is not None and bias.size != n_channels:
        raise ValueError(f"node {node.name!r} ({node.kind}): bias has {bias.size} values; {n_channels} were expected")


def output_shape(node: Node, shape: Shape) -> Shape:
    """The shape a node gives for what goes in. Raises ValueError that names the node where the two do not match."""
    if node.kind == "Scale":
        scale = node.parameters.get("scale", np.ones(1))
        if scale.size not in (1, int(np.prod(shape))):
            raise ValueError(
                f"node {node.name!r} (Scale): scale of shape {list(scale.shape)} does not match a source of shape {list(shape)}"
            )
        return shape
    if node.kind == "Flatten":
        return _flat(node, shape)
    if node.kind in ("Linear", "Affine"):
        weight = _weight(node, 2)
        if int(np.prod(shape)) != weight.shape[1]:
            raise ValueError(
                f"node {node.name!r} ({node.kind}) takes {weight.shape[1]} values; its source has shape {list(shape)}"
            )
        _check_bias(node, weight.shape[0])
        return (weight.shape[0],)
    if len(shape) != 3:
        raise ValueError(
            f"node {node.name!r} ({node.kind}) takes [channel, row, column]; its source has shape {list(shape)}"
        )
    window, stride, padding = pool_kernel(node)
    channels = shape[0]
    if node.kind == "Conv2d":
        weight, groups = _weight(node, 4), int(node.parameters.get("groups", np.array(1)))
        if groups < 1 or weight.shape[1] * groups != shape[0] or weight.shape[0] % groups:
            raise ValueError(
                f"node {node.name!r} (Conv2d) takes {weight.shape[1] * groups} channels in {groups} groups; its source has shape"
                f" {list(shape)}"
            )
        channels = weight.shape[0]
        _check_bias(node, channels)
    rows, columns = ((shape[axis + 1] + 2 * padding[axis] - window[axis]) // stride[axis] + 1 for axis in (0, 1))
    if rows < 1 or columns < 1:
        raise ValueError(f"node {node.name!r} ({node.kind}): its window does not fit a source of shape {list(shape)}")
    return channels, rows, columns


def _flat(node: Node, shape: Shape) -> Shape:
    begin, end = (
        int(node.parameters.get(name, np.array(value))) for name, value in (("start_dim", 0), ("end_dim", -1))
    )
    begin, end = (value + len(shape) if value < 0 else value for value in (begin, end))
    if not 0 <= begin <= end < len(shape):
        # Dimension 0 of some writers is the batch, which NIR leaves out.
        return (int(np.prod(shape)),)
    return (*shape[:begin], int(np.prod(shape[begin : end + 1])), *shape[end + 1 :])


def matrix_of(node: Node, shape: Shape, total: bool = False) -> sparse.csr_matrix:
    """Weights [out, in] of a node whose source has the shape; ``total`` makes an average a sum."""
    size = int(np.prod(shape))
    if node.kind == "Flatten":
        return sparse.identity(size, format="csr")
    if node.kind == "Scale":
        scale = node.parameters.get("scale", np.ones(1)).astype(float)
        return sparse.diags(np.broadcast_to(scale.reshape(-1), size)).tocsr()
    if node.kind in ("Linear", "Affine"):
        return sparse.csr_matrix(_weight(node, 2))
    window, stride, padding = pool_kernel(node)
    if node.kind == "Conv2d":
        kernel, groups = _weight(node, 4), int(node.parameters.get("groups", np.array(1)))
        dilation = _pair(node, "dilation", 1, least=1)
    else:
        value = 1.0 / (window[0] * window[1]) if node.kind == "AvgPool2d" and not total else 1.0
        kernel, groups, dilation = np.full((shape[0], 1, *window), value), shape[0], (1, 1)
    return _convolution(kernel, shape, output_shape(node, shape), stride, padding, dilation, groups)


def _convolution(
    kernel: Array,
    shape: Shape,
    result: Shape,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> sparse.csr_matrix:
    out, inner, kr, kc = np.nonzero(kernel)
    y, x = (index.reshape(-1) for index in np.indices(result[1:]))
    row = y[None] * stride[0] + kr[:, None] * dilation[0] - padding[0]
    column = x[None] * stride[1] + kc[:, None] * dilation[1] - padding[1]
    channel = inner + out // (kernel.shape[0] // groups) * kernel.shape[1]
    inside = (row >= 0) & (row < shape[1]) & (column >= 0) & (column < shape[2])
    source = ((channel[:, None] * shape[1] + row) * shape[2] + column)[inside]
    target = ((out[:, None] * result[1] + y[None]) * result[2] + x[None])[inside]
    weight = np.broadcast_to(kernel[out, inner, kr, kc][:, None], inside.shape)[inside]
    return sparse.csr_matrix((weight, (target, source)), (int(np.prod(result)), int(np.prod(shape))))
