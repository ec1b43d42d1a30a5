from unlearnkit.measures.aggregates import Memorisation, OfNumbers, Privacy, Utility
from unlearnkit.measures.auc import AUC, PrivLeak
from unlearnkit.measures.base import Measure
from unlearnkit.measures.bleu import Bleu, BleuAsPublished
from unlearnkit.measures.combined import HarmonicMean, Mean
from unlearnkit.measures.exact_memorisation import ExactMemorisation
from unlearnkit.measures.extraction_strength import ExtractionStrength
from unlearnkit.measures.fluency import Fluency, FluencyClassifier
from unlearnkit.measures.guarded import Guarded
from unlearnkit.measures.harmful_rate import HarmfulRate
from unlearnkit.measures.knowmem import KnowMem
from unlearnkit.measures.known_answers import KnownAnswers
from unlearnkit.measures.ks_test import KSTest
from unlearnkit.measures.leak import Leak, MatcherAgreement
from unlearnkit.measures.membership import (
    MembershipGradient,
    MembershipLoss,
    MembershipReference,
    MembershipZlib,
    MinK,
    MinKPlusPlus,
)
from unlearnkit.measures.paraphrase_probability import ParaphraseProbability
from unlearnkit.measures.perplexity import AnswerPerplexity, Perplexity
from unlearnkit.measures.rouge_l import RougeL, RougeLAsPublished
from unlearnkit.measures.similarity import EncoderSimilarity, Similarity
from unlearnkit.measures.success import Success, SuccessWhole
from unlearnkit.measures.truth_ratio import Probability, ProbabilityNormalised, TruthRatio

__all__ = [
    "AUC",
    "AnswerPerplexity",
    "Bleu",
    "BleuAsPublished",
    "EncoderSimilarity",
    "ExactMemorisation",
    "ExtractionStrength",
    "Fluency",
    "FluencyClassifier",
    "Guarded",
    "HarmfulRate",
    "HarmonicMean",
    "KSTest",
    "KnowMem",
    "KnownAnswers",
    "Leak",
    "MatcherAgreement",
    "Mean",
    "Memorisation",
    "OfNumbers",
    "Privacy",
    "Utility",
    "Measure",
    "MembershipGradient",
    "MembershipLoss",
    "MembershipReference",
    "MembershipZlib",
    "MinK",
    "MinKPlusPlus",
    "ParaphraseProbability",
    "Perplexity",
    "PrivLeak",
    "Probability",
    "ProbabilityNormalised",
    "RougeL",
    "RougeLAsPublished",
    "Similarity",
    "Success",
    "SuccessWhole",
    "TruthRatio",
]
