"""One sentence and the source of every recipe that is a word of its own, not composed of several."""

from __future__ import annotations

from accelsim.prune.schedules import PUBLISHED

SENTENCES = {
    "spatten": "Cascade pruning inside attention: spatten,tokens=0.5,heads=0.9,values=0.3,bits=6+4 keeps "
    "those fractions, averaged over the layers; tokens=1*2/0.5*4 layer by layer; schedule="
    f"{'|'.join(PUBLISHED)} as published; channels=0.6 of K; value_bits=8; threshold=0.1 for the LSBs; "
    "recent=8 new tokens stay; scores=mean|sum; values_in=all|generation.",
    "depth": "Whole blocks leave: depth,0.75 keeps that fraction of those that may, the latest leaving first "
    "and the first half protected (protect=0.5); by=change|grasp|random are other rules, seed=0 draws.",
    "think": "K channels that matter least to the newest queries leave: think,0.6 is spatten,channels=0.6.",
    "precrop": "accelsim train: precrop,0.5 makes the layers of resnet9 narrower before the first step; "
    "by=synflow|even|uniform.",
    "bdwp": "Bidirectional N:M pruning of training: bdwp,2:8 prunes the weights of the forward product along "
    "input channels and those of the backward product along output channels; decay=0.0002 adds SR-STE's "
    "term; first=1 and last=1 prune these layers, too.",
    "srste": "SR-STE: srste,2:8 prunes forward weights alone; decay=0.0002 unless another is given.",
    "sdgp": "Gradient pruning: sdgp,2:8 prunes output gradients in the backward product alone.",
}

SOURCES = {
    "spatten": "Wang et al., HPCA 2021, arXiv 2012.09852",
    "depth": "positions: Kwon et al. (HierarchicalPrune), AAAI 2026, arXiv 2508.04663; at initialisation: "
    "Jordao et al., 2023, arXiv 2301.10835; grasp: Wang et al., ICLR 2020, arXiv 2002.07376",
    "think": "Xu et al., ICLR 2025, arXiv 2407.21018",
    "precrop": "2022, arXiv 2203.02549; SynFlow: Tanaka et al., NeurIPS 2020, arXiv 2006.05467",
    "bdwp": "Lin et al. (SAT), 2023, arXiv 2309.13015",
    "srste": "Zhou et al., ICLR 2021, arXiv 2102.04010",
    "sdgp": "McDanel et al., 2022, arXiv 2202.00774",
}
