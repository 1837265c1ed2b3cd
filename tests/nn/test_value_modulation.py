"""Values changed by a set of vectors beside each token."""

from __future__ import annotations

import torch

from visavis.nn.value_modulation import SetPool, ValueModulation

B, K, T, S, C, E = 2, 3, 5, 4, 8, 6
GENERATOR = torch.Generator().manual_seed(0)
TOKENS = torch.randn(B, T, C, generator=GENERATOR)
ELEMENTS = torch.randn(B, T, S, E, generator=GENERATOR)
THERE = torch.rand(B, K, T, S, generator=GENERATOR) < 0.6


def modules() -> tuple[SetPool, ValueModulation]:
    torch.manual_seed(0)
    return SetPool(C, E), ValueModulation(C, E)


def modulated(elements: torch.Tensor, there: torch.Tensor, moved: bool = True) -> torch.Tensor:
    pool, change = modules()
    if moved:
        torch.nn.init.normal_(change.to_both.weight)
        torch.nn.init.normal_(change.to_both.bias)
    out: torch.Tensor = change(TOKENS, pool(TOKENS, elements, there), there.any(-1))
    return out


def test_it_is_the_identity_at_first() -> None:
    made = modulated(ELEMENTS, THERE, moved=False)
    assert torch.equal(made, TOKENS[:, None].expand(-1, K, -1, -1))


def test_an_empty_set_changes_nothing_ever() -> None:
    made = modulated(ELEMENTS, torch.zeros_like(THERE))
    assert torch.equal(made, TOKENS[:, None].expand(-1, K, -1, -1))


def test_the_order_of_a_set_changes_nothing() -> None:
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(
        modulated(ELEMENTS[:, :, order], THERE[..., order]), modulated(ELEMENTS, THERE)
    )


def test_what_is_not_in_a_reader_s_set_is_not_read() -> None:
    there = torch.zeros_like(THERE)
    there[..., 0] = True
    other = ELEMENTS.clone()
    other[:, :, 1:] = 1e6
    torch.testing.assert_close(modulated(other, there), modulated(ELEMENTS, there))


def test_a_set_of_one_is_pooled_to_itself() -> None:
    pool, _ = modules()
    there = torch.zeros_like(THERE)
    there[..., 2] = True
    torch.testing.assert_close(
        pool(TOKENS, ELEMENTS, there), ELEMENTS[:, None, :, 2].expand(-1, K, -1, -1)
    )


def test_two_sets_part_after_one_step_of_learning() -> None:
    pool, change = modules()
    optimiser = torch.optim.SGD([*pool.parameters(), *change.parameters()], lr=0.1)
    there = torch.ones_like(THERE)

    def both() -> tuple[torch.Tensor, torch.Tensor]:
        sets = (ELEMENTS, ELEMENTS.flip(0))
        one, two = (change(TOKENS, pool(TOKENS, s, there), there.any(-1)) for s in sets)
        return one, two

    one, two = both()
    assert torch.equal(one, two)
    ((one - 1) ** 2).mean().backward()
    optimiser.step()
    one, two = both()
    assert float((one - two).abs().max()) > 1e-4
