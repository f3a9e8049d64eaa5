"""Warn about options that have no effect, or another effect than given."""

from __future__ import annotations

from runtime.learning.bank.bank import MIN_BANK, bank_size, wanted_size
from runtime.learning.options import LearnOptions, defaults


def without_effect(options: LearnOptions, *more: tuple[str, bool, str]) -> list[str]:
    """Return a sentence for each option that differs from its default, but has no effect with the others.

    Args:
        options: the options.
        more: further options: name, whether it has an effect, and what it belongs to.
    """
    usual = defaults(type(options))
    cases = (
        ("b", options.score == "paper", "the score `paper`"),
        ("k", options.score == "topk", "the score `topk`"),
        *more,
    )
    return [
        f"--{name.replace('_', '-')} {getattr(options, name)} has no effect: it belongs to {to}"
        for name, counts, to in cases
        if not counts and getattr(options, name) != usual[name]
    ]


def changed(options: LearnOptions, *, train: int, patches: int, dimension: int) -> list[str]:
    """Return a sentence for each option that takes effect with another value.

    Args:
        options: the options.
        train: number of patches of all training pictures.
        patches: number of patches of one picture.
        dimension: dimension of a patch feature.
    """
    said = []
    size = bank_size(options, train)
    wanted = wanted_size(options, train)
    if size != wanted and options.coreset != "auto":
        why = f"the index needs {MIN_BANK}" if wanted < MIN_BANK <= train else f"there are {train} patches"
        share = "" if isinstance(options.coreset, int) else f", {wanted} entries,"
        said.append(f"--coreset {options.coreset}{share} becomes {size} entries: {why}")
    if options.score == "paper" and options.b > size:
        said.append(f"--b {options.b} becomes {size}: the bank has no more entries")
    if options.score == "topk" and options.k > patches:
        said.append(f"--k {options.k} becomes {patches}: a picture has no more patches")
    given = options.projection_dim not in {0, defaults(LearnOptions)["projection_dim"]}
    if given and options.projection_dim >= dimension:
        said.append(f"--projection-dim {options.projection_dim} has no effect: features have {dimension} dimensions")
    return said
