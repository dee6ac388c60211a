"""Frames of each kind in and the same kind out.

Frames go in and out by Arrow's C stream. Of pandas, polars, pyarrow and DuckDB only what the caller has loaded already
is imported.
"""

from __future__ import annotations

from typing import Any

from ptsm._ptsm import Batches


class Frame:
    """A frame that was handed in: what is read, and how the answer becomes a frame of its kind."""

    def __init__(self, frame: Any) -> None:
        self.given = frame
        self.kind = type(frame).__module__.partition(".")[0]
        self.index: list[Any] | None = None
        self.stream = frame
        if self.kind == "pandas":
            self.stream = self._of_pandas()
        elif self.kind == "polars" and type(frame).__name__ == "LazyFrame":
            self.stream = frame.collect()

    def _of_pandas(self) -> Any:
        pyarrow = _pyarrow("pandas")
        frame, index = self.given, self.given.index
        names = list(index.names)
        # A nameless index of times is the column that has the usual name of times.
        is_nameless_time = names == [None] and hasattr(index, "freq") and "ds" not in frame
        if is_nameless_time:
            names = ["ds"]
        if None not in names:
            frame = frame.rename_axis(names).reset_index()
            self.index = names
        return pyarrow.Table.from_pandas(frame, preserve_index=False)

    def like(self, batches: Batches) -> Any:
        """The answer as a frame of the kind that was handed in."""
        if self.kind == "pandas":
            return self._pandas(batches)
        if self.kind == "polars":
            import polars

            return polars.DataFrame(batches)
        if self.kind == "pyarrow":
            return self._arrow(batches)
        if self.kind == "duckdb":
            import duckdb

            return duckdb.from_arrow(_pyarrow("duckdb").table(batches))
        return batches

    def _arrow(self, batches: Batches) -> Any:
        pyarrow = _pyarrow("pyarrow")
        table = pyarrow.table(batches)
        if isinstance(self.given, pyarrow.RecordBatch):
            return table.combine_chunks().to_batches()[0]
        if isinstance(self.given, pyarrow.RecordBatchReader):
            return table.to_reader()
        return table

    def _pandas(self, batches: Batches) -> Any:
        frame = _pyarrow("pandas").table(batches).to_pandas()
        known = {name: self.given[name].dtype for name in self.given.columns if name in frame}
        if self.index is not None:
            levels = range(len(self.index))
            values = [self.given.index.get_level_values(level) for level in levels]
            known.update({name: v.dtype for name, v in zip(self.index, values, strict=True)})
        for name, dtype in known.items():
            if name in frame and frame[name].dtype != dtype and frame[name].dtype.kind != "f":
                frame[name] = frame[name].astype(dtype)
        kept = [name for name in self.index or () if name in frame]
        if not kept:
            return frame
        given = list(self.given.index.names)
        frame = frame.set_index(kept)
        if len(kept) == len(given):
            frame.index.names = given
        return frame


def _pyarrow(kind: str) -> Any:
    try:
        import pyarrow
    except ImportError as error:
        text = f"frames of {kind} are handed over by pyarrow, which is not installed (pip install pyarrow)"
        raise ImportError(text) from error
    return pyarrow
