"""Expressive recovery: what an utterance may mean to whoever says it, as emotion priors.

The three stages of MReactor's supplementary (C.3): a provider proposes subjects, two filters keep
those that fit the utterance in meaning and in affect, a lexicon gives each a label, a polarity and
an intensity. No default opens a socket.
"""

from visavis.features.subjects.channel import subject_channel, with_word_channels
from visavis.features.subjects.configure import recovery_from
from visavis.features.subjects.endpoint import EndpointSubjectProvider
from visavis.features.subjects.lexicon import (
    LABELS,
    Affect,
    AffectLexicon,
    Lexicons,
    TableLexicon,
    VaderLexicon,
    WordLexicon,
)
from visavis.features.subjects.lexicon_files import read_anew, read_liwc, read_sentiwordnet
from visavis.features.subjects.providers import (
    CachedSubjectProvider,
    CallableSubjectProvider,
    LexiconSubjectProvider,
    ProviderError,
    StaticSubjectProvider,
    SubjectProvider,
)
from visavis.features.subjects.recovery import (
    Candidate,
    EmotionPrior,
    ExpressiveRecovery,
    default_recovery,
)
from visavis.features.subjects.similarity import (
    CosineSimilarity,
    RobertaTextEncoder,
    Similarity,
    TextEncoder,
    TriggerSimilarity,
)

__all__ = [
    "LABELS",
    "Affect",
    "AffectLexicon",
    "CachedSubjectProvider",
    "CallableSubjectProvider",
    "Candidate",
    "CosineSimilarity",
    "EmotionPrior",
    "EndpointSubjectProvider",
    "ExpressiveRecovery",
    "LexiconSubjectProvider",
    "Lexicons",
    "ProviderError",
    "RobertaTextEncoder",
    "Similarity",
    "StaticSubjectProvider",
    "SubjectProvider",
    "TableLexicon",
    "TextEncoder",
    "TriggerSimilarity",
    "VaderLexicon",
    "WordLexicon",
    "default_recovery",
    "read_anew",
    "read_liwc",
    "read_sentiwordnet",
    "recovery_from",
    "subject_channel",
    "with_word_channels",
]
