"""What can be wrong with data, as a small tree.

DataError (a ValueError)
├── CatalogError     meta.csv, its rows, a subset that is empty or misspelt
├── ImageError       a TIFF that is not one 16-bit grey page
├── CacheError       the decoded array: building, finding, checking it
├── FetchError       files from the bucket
├── FlatError        images that hold no picture
├── SplitError       training and validation rows
└── SyntheticError   making the embedded data set
"""


class DataError(ValueError):
    """Input data or a data setting that work cannot go on with."""


class CatalogError(DataError):
    """A label table, a row of it, or a subset."""


class ImageError(DataError):
    """A file that is not a usable image."""


class CacheError(DataError):
    """A cache that cannot be built, found or trusted."""


class SplitError(DataError):
    """A split that was misspelt or cannot be made from these rows."""


class SyntheticError(DataError):
    """Settings or a folder from which no synthetic set can be made."""


class FetchError(DataError):
    """Files that cannot be fetched, or are not what they should be."""


class FlatError(DataError):
    """Images that are all the same picture, so that nothing can be learnt from them."""
