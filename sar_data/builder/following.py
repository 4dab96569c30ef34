"""One pass over the samples of a shard for several writers: all get each entry, in order, while the pass goes on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

from sar_data.formats.container import Entry, Written

AHEAD = 8  # entries that wait for a writer: enough to keep it busy, few enough to keep memory flat
Writer = Callable[[Iterable[Entry]], Written]


def write_each(writers: Sequence[Writer], entries: Iterator[Entry], *, small: bool = False) -> list[Written]:
    """Return what each of some writers made of all entries.

    Those of a `small` shard are kept for one writer after the other. Of others the first writer draws them, and each
    other one has a thread, so that memory stays flat; that costs more processor time. Where the pass or a writer fails,
    no writer sees the end of the entries, so none completes its shard. Raises what failed first.
    """
    if small or len(writers) == 1:
        kept = list(entries) if len(writers) > 1 else entries
        return [writer(kept) for writer in writers]
    first, *others = writers
    followers = [_Follower() for _ in others]
    with ThreadPoolExecutor(len(others)) as pool:
        futures = [pool.submit(follower.run, writer) for follower, writer in zip(followers, others, strict=True)]
        end: BaseException | None = None
        try:
            passing = _pass_on(entries, followers)
            written = first(passing)
            for _ in passing:  # which a writer need not have drawn to the end
                pass
        except BaseException as error:
            end = error
            raise
        finally:
            for follower in followers:
                follower.queue.put(end)
    return [written, *(future.result() for future in futures)]


def _pass_on(entries: Iterator[Entry], followers: Sequence[_Follower]) -> Generator[Entry, None, None]:
    for entry in entries:
        for follower in followers:
            if follower.failure is not None:
                raise follower.failure
            follower.queue.put(entry)
        yield entry


class _Follower:
    """The entries of a writer in a thread: None in the queue is their end, an error the end of the pass."""

    def __init__(self) -> None:
        self.queue: Queue[Entry | BaseException | None] = Queue(AHEAD)
        self.failure: BaseException | None = None
        self._ended = False

    def run(self, writer: Writer) -> Written:
        try:
            return writer(self._entries())
        except BaseException as error:
            self.failure = error
            raise
        finally:
            while not self._ended:  # so that the pass never waits for a writer that failed
                self._ended = not isinstance(self.queue.get(), Entry)

    def _entries(self) -> Iterator[Entry]:
        while isinstance(item := self.queue.get(), Entry):
            yield item
        self._ended = True
        if item is not None:
            raise item
