"""The dispatch mode that sees every operator of a forward pass and writes down the products.

Forward hooks miss the products inside attention; a dispatch mode sees what really runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import torch
from torch import nn
from torch._ops import HigherOrderOperator
from torch.utils._python_dispatch import TorchDispatchMode

from accelsim.golden.formats import Bitmap
from accelsim.trace.attentions import batch_and_heads, fused, key_heads
from accelsim.trace.counting import Bound, counted, may_hide_products
from accelsim.trace.flow import Flow, Mark, Origin, Scores
from accelsim.trace.heads import without_empty_heads
from accelsim.trace.operands import (
    dtype_of,
    equal_neighbours,
    is_causal,
    mask_of,
    operands,
    tensors_of,
)
from accelsim.trace.products import (
    ATTENTIONS,
    CONVOLUTIONS,
    GROUPED,
    PRODUCTS,
    RECURRENT,
    Lowered,
    Product,
    bilinear,
    bound,
    convolution,
    grouped,
    recurrent,
)
from accelsim.trace.quantised import NAMESPACES, quantised
from accelsim.trace.scopes import Scopes, held_tensors, storage_key
from accelsim.trace.seen import with_fused, with_product
from accelsim.workload import Attention, Layer, Matmul, Unknown

aten = torch.ops.aten

SOFTMAXES = (aten._softmax, aten._safe_softmax, aten.softmax, aten.exp, aten.exp_)

NOT_UNDERSTOOD = "no machine here understands this operator"
UNCOUNTED = f"{NOT_UNDERSTOOD}, nor counts it"


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Layers of one forward pass, in the order in which they ran; entered as a context.

    `masks` keeps what was found in the module's own weights, for further passes over the same ones.
    `scores`: attentions keep Q, K and their probabilities. `every_head`: also those that have no V.
    """

    supports_higher_order_operators = True

    def __init__(
        self,
        module: nn.Module,
        inputs: Any,
        masks: dict[Any, Bitmap | None] | None = None,
        *,
        scores: bool = False,
        every_head: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._keeps_scores = scores
        self._every_head = every_head
        self._factors: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._scopes = Scopes(module)
        self._flow = Flow()
        self._layers: list[Layer | None] = []
        self._masks: dict[Any, Bitmap | None] = {} if masks is None else masks
        self._paused = False
        self._depth = 0
        for tensor in held_tensors(module):
            self._flow.set(tensor, Mark(origin=Origin.WEIGHT))
        tensors = tensors_of(inputs)
        for tensor in tensors:
            self._flow.set(tensor, Mark(origin=Origin.INPUT))
        self._batch = int(tensors[0].shape[0]) if tensors and tensors[0].dim() else 1

    def __enter__(self) -> Recorder:
        # Entered once more, from within, for every operator that is opened up.
        if not self._depth:
            self._scopes.__enter__()
        self._depth += 1
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._depth -= 1
        if not self._depth:
            self._scopes.__exit__(*error)

    def layers(self) -> tuple[Layer, ...]:
        """What ran so far; a name that occurs again gets `#2`, `#3` and so on."""
        seen: Counter[str] = Counter()
        named: list[Layer] = []
        for layer in self._layers:
            if layer is not None:
                seen[layer.name] += 1
                times = seen[layer.name]
                named.append(layer.renamed(f"{layer.name}#{times}") if times > 1 else layer)
        return tuple(named)

    def decided(self, compute: Callable[[], tuple[Any, Attention]]) -> Any:
        """Run `compute` unseen, and take the attention it describes for what ran; gives its result."""
        self._paused = True
        try:
            result, attention = compute()
        finally:
            self._paused = False
        self._layers.append(attention.renamed(self._scopes.label))
        for tensor in tensors_of(result):
            self._flow.set(tensor, Mark(origin=Origin.INPUT))
        return result

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self._paused:
            return function(*args, **kwargs)
        if isinstance(function, HigherOrderOperator):
            return self._higher_order(function, args, kwargs)
        packet = function._overloadpacket
        if _opens(function):
            with self:
                opened = function.decompose(*args, **kwargs)
            if opened is not NotImplemented:
                return opened
        result = function(*args, **kwargs)
        self._flow.step(operands((args, kwargs)), operands(result))
        if _matters(packet):
            self._record(packet, self._filled(bound(function, args, kwargs)), result)
        return result

    def _higher_order(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Operators that take functions: attention runs as what defines it, of others these are seen."""
        definition = function.py_kernels.get(torch._C.DispatchKey.CompositeExplicitAutograd)
        if "attention" in function.name() and definition is not None:
            with self:
                return definition(*args, **kwargs)
        result = function(*(self._seen(each) if callable(each) else each for each in args), **kwargs)
        self._flow.step(tensors_of((args, kwargs)), tensors_of(result))
        return result

    def _seen(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return run

    def _filled(self, call: Bound) -> Bound:
        """Operands in a sparse layout with their zeros filled in, so that all are read alike."""
        filled = dict(call)
        for name, value in call.items():
            if isinstance(value, torch.Tensor) and value.layout != torch.strided:
                filled[name] = value.to_dense()
                self._flow.set(filled[name], self._flow.of(value))
        return filled

    def _record(self, packet: Any, call: Bound, result: Any) -> None:
        if packet in PRODUCTS:
            for product in PRODUCTS[packet](call):
                self._product(product, result)
        elif packet in CONVOLUTIONS:
            self._lowered([convolution(call, result)])
        elif packet in RECURRENT:
            self._lowered(recurrent(call))
        elif packet in ATTENTIONS:
            self._fused_attention(call)
        elif packet in SOFTMAXES:
            source = call["self"]
            self._flow.normalised(source, result, is_causal(result))
        elif packet._qualified_op_name in GROUPED and self._weights_only(experts := grouped(call)):
            self._lowered(experts)
        elif layers := quantised(packet, call, result):
            self._lowered(layers)
        elif packet is aten._trilinear and (parts := bilinear(call)) and self._weights_only(parts[:1]):
            self._lowered(parts[:1])
            self._product(parts[1], result)
        elif may_hide_products(packet):
            self._unknown(packet, call, result)

    def _weights_only(self, products: Sequence[Lowered]) -> bool:
        """There are products, and each has a weight."""
        return bool(products) and all(self._flow.of(p.weight).origin == Origin.WEIGHT for p in products)

    def _product(self, product: Product, result: torch.Tensor) -> None:
        left, right = product.left, product.right
        if not left.numel() or not right.numel():
            return
        count, inner, columns = (int(n) for n in right.shape)
        rows = left.numel() // (count * inner)
        origins = self._flow.of(left).origin, self._flow.of(right).origin
        if origins[1] == Origin.WEIGHT:
            self._weighted(right.transpose(1, 2), m=rows)
        elif origins[0] == Origin.WEIGHT:
            # W @ x is x.T @ W.T: the rows of activations are the columns of x.
            self._weighted(left, m=columns)
        elif self._attention(left, right):
            self._flow.set(result, Mark(origin=max(origins)))
            return
        else:
            self._layers.append(
                Matmul(
                    name=f"{self._scopes.path}.matmul".lstrip("."),
                    m=rows,
                    n=columns,
                    k=inner,
                    count=count,
                    dtype=dtype_of(left),
                    weights=False,
                )
            )
        # Queries that are computed from weights alone (learned ones) meet keys as any others do.
        owned = self._scopes.owns(left), self._scopes.owns(right)
        if any(own and each == Origin.WEIGHT for own, each in zip(owned, origins, strict=True)):
            self._flow.set(result, Mark(origin=max(origins)))
            return
        scores = Scores(
            product=len(self._layers) - 1, elements=result.numel(), sharing=equal_neighbours(right)
        )
        self._flow.set(result, Mark(origin=max(origins), scores=scores))
        if self._keeps_scores:
            self._factors[scores.product] = left, right

    def _weighted(self, kernel: torch.Tensor, m: int) -> None:
        """`kernel`: (count, n, k); products with one and the same weight are one of all their rows."""
        count = int(kernel.shape[0])
        if count == 1 or kernel.stride(0) == 0:
            kernel, m, count = kernel[0], m * count, 1
        self._lowered([Lowered(weight=kernel, kernel=kernel, m=m, count=count)])

    def _lowered(self, products: Iterable[Lowered]) -> None:
        for product in products:
            self._layers.append(
                Matmul(
                    name=self._scopes.weight_name(product.weight) + product.part,
                    m=product.m,
                    n=int(product.kernel.shape[-2]),
                    k=int(product.kernel.shape[-1]),
                    count=product.count,
                    dtype=product.dtype or dtype_of(product.weight),
                    mask=self._mask(product.kernel),
                    geometry=product.geometry,
                )
            )

    def _mask(self, kernel: torch.Tensor) -> Bitmap | None:
        """Which weights are not zero; looked up again only where they are no parameter's own memory."""
        if not self._scopes.owns(kernel):
            return mask_of(kernel)
        place = (storage_key(kernel), kernel.storage_offset(), kernel.shape, kernel.stride())
        if place not in self._masks:
            self._masks[place] = mask_of(kernel)
        return self._masks[place]

    def _attention(self, left: torch.Tensor, right: torch.Tensor) -> bool:
        """If one side holds normalised scores, this product and the one that made them are an attention."""
        if left.dim() != 3 or left.shape[0] != right.shape[0]:
            return False
        for probabilities, values in ((left, right), (right.transpose(1, 2), left.transpose(1, 2))):
            scores = self._flow.of(probabilities).scores
            if scores is None or not scores.normalised or probabilities.numel() != scores.elements:
                continue
            made = self._layers[scores.product]
            count, queries, keys = (int(n) for n in probabilities.shape)
            if not isinstance(made, Matmul) or {queries, keys} != {made.m, made.n}:
                continue
            batch, heads = batch_and_heads(self._scopes, self._batch, scores.shape, count)
            self._layers[scores.product] = None
            layer = Attention(
                name=self._scopes.label,
                heads=heads,
                kv_heads=key_heads(self._scopes, heads, scores.sharing),
                queries=queries,
                keys=keys,
                dim=made.k,
                value_dim=int(values.shape[2]),
                batch=batch,
                dtype=dtype_of(probabilities),
                causal=scores.causal,
            )
            factors = self._factors.pop(scores.product, None)
            layer = with_product(layer, factors, probabilities) if factors else layer
            self._layers.append(layer if self._every_head else without_empty_heads(layer, values))
            return True
        return False

    def _fused_attention(self, call: Bound) -> None:
        layer = fused(self._scopes, call)
        layer = with_fused(layer, call) if self._keeps_scores else layer
        self._layers.append(layer if self._every_head else without_empty_heads(layer, call["value"]))

    def _unknown(self, packet: Any, call: Bound, result: Any) -> None:
        macs = counted(packet, call, result)
        self._layers.append(
            Unknown(
                name=self._scopes.label,
                op=str(packet._qualified_op_name).replace("::", "."),
                macs=macs,
                reason=NOT_UNDERSTOOD if macs else UNCOUNTED,
            )
        )


@cache
def _understands(packet: Any) -> bool:
    return packet in PRODUCTS or packet in CONVOLUTIONS or packet in RECURRENT or packet in ATTENTIONS


@cache
def _opens(function: Any) -> bool:
    """Whether an operator is made of others, which say more than itself."""
    return not _understands(function._overloadpacket) and torch._C._dispatch_has_kernel_for_dispatch_key(
        function.name(), "CompositeImplicitAutograd"
    )


@cache
def _matters(packet: Any) -> bool:
    """Whether an operator makes products, normalises scores, or may hide multiplications: few of all do."""
    name = str(packet._qualified_op_name)
    ours = _understands(packet) or packet in SOFTMAXES or name in GROUPED
    return ours or name.partition("::")[0] in NAMESPACES or may_hide_products(packet)
