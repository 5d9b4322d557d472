"""What others have found about the strategies, each statement with its source."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Statement", "general", "statements"]


@dataclass(frozen=True)
class Statement:
    """A finding.

    Attributes
    ----------
    text : str
    source : str
        Authors, year and where to find it.
    about : tuple of str
        Strategies; empty: all of them.
    """

    text: str
    source: str
    about: tuple[str, ...] = ()


_WEIGHTS = ("balanced", "inverse_sqrt", "log_inverse", "effective_number", "tuned_weights")
_OFFSETS = ("logit_adjusted", "balanced_softmax")
_POST_HOC = ("prior_threshold", "post_hoc_logit_adjustment")

_STATEMENTS = (
    Statement(
        "Moving the threshold of a plainly trained model gains for label metrics what resampling gains, without "
        "harming its probabilities.",
        "van den Goorbergh and others, JAMIA 29, 2022, doi:10.1093/jamia/ocac093",
        ("none", *_POST_HOC, "oversample", "undersample", "smote"),
    ),
    Statement(
        "Balancing improves weak classifiers; strong ones it does not, and for label metrics a tuned threshold does "
        "as well.",
        "Elor and Averbuch-Elor, 2022, arXiv:2201.08528",
        ("none", "oversample", "undersample", "smote"),
    ),
    Statement(
        "Seven sampling methods, eight classifiers, 31 data sets: the area under the precision–recall curve changed "
        "significantly in 12.2 % of the cases, more often for the worse; undersampling did worst; linear classifiers "
        "gained most.",
        "Kim and Hwang, PLoS ONE 17(7), 2022, doi:10.1371/journal.pone.0271260",
        ("oversample", "undersample", "smote"),
    ),
    Statement(
        "Risks predicted after imbalance corrections are far too high, unless they are corrected back.",
        "Carriero and others, 2024, arXiv:2404.19494",
        ("oversample", "undersample", "smote"),
    ),
    Statement(
        "On 73 tables balancing by itself often hurts; ensembles of learners on undersampled rows gain robustly; the "
        "quality of the data can matter more than the imbalance.",
        "Liu and others (CLIMB), 2025, arXiv:2505.17451",
        ("oversample", "undersample", "smote"),
    ),
    Statement(
        "Networks trained until they separate the training rows forget class weights: their decisions end up where "
        "they would be without.",
        "Byrd and Lipton, ICML 2019, arXiv:1812.03372",
        (*_WEIGHTS, "class_balanced_focal"),
    ),
    Statement(
        "Weights and offsets lose their effect once the training rows are separated; factors on the logits keep it, "
        "and the two together train well from the start.",
        "Kini and others, NeurIPS 2021, arXiv:2103.01550",
        ("vector_scaling", *_OFFSETS, *_WEIGHTS),
    ),
    Statement(
        "The factors that last shrink the logits of rare classes in training, so that the model has to make up for it; "
        "multiplying logits by class weights does the opposite.",
        "Ye and others, 2020, arXiv:2001.01385; Kini and others, NeurIPS 2021, arXiv:2103.01550",
        ("scaled_logits",),
    ),
    Statement(
        "Offsets by the log priors, in training or afterwards, are consistent for the balanced error; on long-tailed "
        "image sets they beat weights and margins.",
        "Menon and others, ICLR 2021, arXiv:2007.07314",
        (*_OFFSETS, "post_hoc_logit_adjustment"),
    ),
    Statement(
        "A softmax over counts times exponentials is the unbiased form for a long tail; with balanced batches on top "
        "it over-balances.",
        "Ren and others, NeurIPS 2020, arXiv:2007.10740",
        _OFFSETS,
    ),
    Statement(
        "Weighting by inverse frequency from the start can cost accuracy; deferring it to the last part of training "
        "gains.",
        "Cao and others, NeurIPS 2019, arXiv:1906.07413",
        ("ldam", "ldam_drw", "balanced"),
    ),
    Statement(
        "Batch size, augmentation, optimiser and label smoothing, tuned for imbalanced data, rival losses made for it.",
        "Shwartz-Ziv and others, NeurIPS 2023, arXiv:2312.02517",
        ("focal", "class_balanced_focal", "ldam", "ldam_drw", "vector_scaling", "logit_adjusted"),
    ),
    Statement(
        "The threshold that is best for a cost follows from the costs alone when probabilities are right; changing "
        "the balance of the rows does the same in a more roundabout way.",
        "Elkan, IJCAI 2001",
        (*_POST_HOC, "none", "balanced", "balanced_batches"),
    ),
    Statement(
        "More than 40 methods on 57 tables: none is best everywhere; what helps depends on the table.",
        "TILBench, 2026, arXiv:2605.14915",
    ),
    Statement(
        "Average precision is not by itself the better measure for rare classes: read it beside ROC AUC and the "
        "share of the class.",
        "McDermott and others, NeurIPS 2024, arXiv:2401.06091",
    ),
    Statement(
        "For calibrated probabilities the threshold that is best for F1 is half the best F1: never above 0.5.",
        "Lipton and others, ECML 2014, arXiv:1402.1892",
    ),
)


def statements(strategy: str) -> list[Statement]:
    """Return what was found about a strategy.

    Examples
    --------
    >>> [s.source.split(",")[0] for s in statements("focal")]
    ['Shwartz-Ziv and others']
    """
    return [s for s in _STATEMENTS if strategy in s.about]


def general() -> list[Statement]:
    """Return what holds whatever the strategy."""
    return [s for s in _STATEMENTS if not s.about]
