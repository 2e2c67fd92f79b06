"""Whole models in the machine's arithmetic: small ones of `transformers`, drawn from a seed."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the torch extra")

import torch
from torch import nn

from accelsim.accelerators.spatten import PRESETS
from accelsim.golden.fixed import symmetric_quantise
from accelsim.golden.matmul import matmul_integer
from accelsim_kernels import Arithmetic, hardware_arithmetic
from accelsim_kernels.hardware import FixedLinear

pytestmark = pytest.mark.torch

MACHINE = replace(PRESETS["full"], weight_bits=12)


def encoder() -> nn.Module:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(vocab_size=99, max_position_embeddings=32, initializer_range=0.3, **sizes)
    return BertModel(config).eval()


def decoder() -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = LlamaConfig(vocab_size=99, num_key_value_heads=2, tie_word_embeddings=True, **sizes)
    return LlamaForCausalLM(config).eval()


def generator() -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=99, n_positions=32, n_embd=32, n_layer=2, n_head=4, n_inner=64, initializer_range=0.3
    )
    return GPT2LMHeadModel(config).eval()


def outputs(model: nn.Module, ids: torch.Tensor, **more) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=ids, **more)[0]


IDS = torch.arange(36).reshape(3, 12) * 7 % 99


@pytest.mark.parametrize("make", [encoder, decoder, generator])
def test_a_model_is_close_in_many_bits_farther_in_few_and_itself_again_behind(make) -> None:
    model = make()
    before = outputs(model, IDS)
    errors = []
    for bits in ((12, 4), (12, 0), (6, 4)):
        with hardware_arithmetic(model, Arithmetic.of(MACHINE, bits=bits)):
            errors.append(float((outputs(model, IDS) - before).abs().max()))
    assert 0 < errors[0] < 0.02 * float(before.abs().max())
    assert errors[0] <= errors[2]
    assert torch.equal(outputs(model, IDS), before)
    assert not any(isinstance(child, FixedLinear) for child in model.modules())


@pytest.mark.parametrize("make", [encoder, decoder])
def test_sequences_of_a_batch_do_not_see_each_other(make) -> None:
    model = make()
    with hardware_arithmetic(model, MACHINE):
        whole = outputs(model, IDS)
        for sample in range(len(IDS)):
            assert torch.equal(outputs(model, IDS[sample : sample + 1])[0], whole[sample])


def test_padding_is_hidden_from_attention() -> None:
    model = encoder()
    mask = torch.ones_like(IDS)
    mask[:, 8:] = 0
    with hardware_arithmetic(model, Arithmetic.of(MACHINE, bits=(12, 4))):
        whole = outputs(model, IDS, attention_mask=mask)[:, :8]
        other = outputs(model, torch.where(mask == 1, IDS, 3), attention_mask=mask)[:, :8]
    # Q of the padding takes part in its head's scale, and in nothing else.
    without = outputs(model, IDS)[:, :8]
    assert (whole - other).abs().max() < 0.01 * (whole - without).abs().max()


def test_a_decoder_generates_with_its_cache() -> None:
    model = decoder()
    with hardware_arithmetic(model, MACHINE):
        made = model.generate(IDS, max_new_tokens=4, do_sample=False, pad_token_id=0)
        # The first sequence begins with what is taken for padding: a row that sees no key.
        assert IDS[0, 0] == 0
    assert made.shape == (3, 16)


def test_it_runs_under_torch_compile_in_one_graph() -> None:
    model = encoder()
    with hardware_arithmetic(model, MACHINE):
        eager = outputs(model, IDS)
        torch.compiler.reset()
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        assert torch.equal(outputs(compiled, IDS), eager)


def test_every_linear_layer_is_golden_s_integers() -> None:
    layer = nn.Linear(30, 20)
    fixed = FixedLinear(layer, Arithmetic())
    x = torch.randn(5, 30)
    weight, steps = symmetric_quantise(layer.weight.detach().numpy(), 12, over=(1,))
    given, scales = symmetric_quantise(x.numpy(), 12, over=(1,))
    real = (matmul_integer(given, weight) * (scales * steps.T)).astype(np.float32)
    assert np.array_equal(fixed(x).detach().numpy(), real + layer.bias.detach().numpy())


def test_conv1d_is_the_linear_layer_of_its_transpose() -> None:
    from transformers.pytorch_utils import Conv1D

    turned = Conv1D(20, 30)
    linear = nn.Linear(30, 20)
    with torch.no_grad():
        linear.weight.copy_(turned.weight.T)
        linear.bias.copy_(turned.bias)
    x = torch.randn(5, 30)
    assert torch.equal(FixedLinear(turned, Arithmetic())(x), FixedLinear(linear, Arithmetic())(x))
    model = generator()
    with hardware_arithmetic(model, MACHINE):
        assert not any(isinstance(child, (nn.Linear, Conv1D)) for child in model.modules())


def test_two_models_at_a_time_have_each_their_own_arithmetic() -> None:
    first, second = encoder(), encoder()
    few, many = (Arithmetic.of(MACHINE, bits=bits) for bits in ((4, 0), (12, 4)))
    with hardware_arithmetic(first, few):
        alone = outputs(first, IDS)
        with hardware_arithmetic(second, many):
            assert torch.equal(outputs(first, IDS), alone)
            assert not torch.equal(outputs(second, IDS), alone)
        assert torch.equal(outputs(first, IDS), alone)


def test_all_models_inside_a_module_are_swapped_and_set_back() -> None:
    pair = nn.ModuleList([encoder(), decoder()])
    pair[1].set_attn_implementation("eager")
    before = [each.config._attn_implementation for each in pair]
    alone = []
    for each in pair:
        with hardware_arithmetic(each, MACHINE):
            alone.append(outputs(each, IDS))
    with hardware_arithmetic(pair, MACHINE):
        for each, expected in zip(pair, alone, strict=True):
            assert torch.equal(outputs(each, IDS), expected)
    assert [each.config._attn_implementation for each in pair] == before


def test_an_attention_with_a_softcap_is_refused_by_name() -> None:
    from transformers import Gemma2Config, Gemma2Model

    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
    model = Gemma2Model(Gemma2Config(vocab_size=99, num_key_value_heads=2, head_dim=8, **sizes)).eval()
    with (
        hardware_arithmetic(model, MACHINE),
        pytest.raises(ValueError, match="cannot compute the softcap of Gemma2Attention"),
    ):
        outputs(model, IDS)


def test_a_machine_without_fc_layers_leaves_linear_layers_alone() -> None:
    model = encoder()
    with hardware_arithmetic(model, PRESETS["full"]):
        assert not any(isinstance(child, FixedLinear) for child in model.modules())
    with hardware_arithmetic(model, PRESETS["e2e"]):
        assert any(isinstance(child, FixedLinear) for child in model.modules())


def test_a_plain_module_has_its_linear_layers_swapped_and_shared_ones_stay_shared() -> None:
    shared = nn.Linear(8, 8)
    model = nn.Sequential(shared, nn.ReLU(), shared, nn.Linear(8, 2, bias=False))
    with hardware_arithmetic(model, MACHINE) as swapped:
        assert swapped is model
        assert model[0] is model[2]
        assert isinstance(model[3], FixedLinear)
        assert model(torch.randn(2, 8)).shape == (2, 2)
    assert model[0] is shared


class Scaled(nn.Linear):
    """A layer that computes something else."""


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda: Arithmetic(scales="column"), "scales must be row or tensor, not 'column'"),
        (lambda: Arithmetic(weight_bits=17), "weight_bits must be between 2 and 16, not 17"),
        (lambda: Arithmetic(value_keep=0), "value_keep must be above 0 and at most 1, not 0"),
        (lambda: enter(nn.ReLU()), "ReLU must have Linear layers or attention to compute"),
        (lambda: enter(nn.Sequential(Scaled(8, 8))), "computes Linear layers, not the Scaled '0'"),
        (lambda: enter(nn.MultiheadAttention(8, 2)), "cannot reach the attention of MultiheadAttention"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(work, message) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*$") as refused:
        work()
    assert message in str(refused.value)


def enter(model: nn.Module) -> None:
    with hardware_arithmetic(model, MACHINE):
        pass
