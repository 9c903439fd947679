"""Work done ahead: the next batch made while the one before is learnt from."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def make_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Give items on, each made by a thread while the one before is worked on.

    It pays where that work leaves a core idle and the making releases Python's lock, as numpy
    does. What the making raises, KeyboardInterrupt too, is raised here in its place.
    """
    source = iter(items)
    done = object()
    with ThreadPoolExecutor(1, "ahead") as pool:
        coming = pool.submit(next, source, done)
        while (item := coming.result()) is not done:
            coming = pool.submit(next, source, done)
            yield item  # type: ignore[misc]  # it is an Item, for it is not the sentinel
