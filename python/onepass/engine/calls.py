"""The intermediate form of a plan: a flat list of kernel calls over buffers.

``lowering`` writes it, ``rewrites`` transform it, ``plan`` turns it into a native program, and
``summary(plan=True)`` prints it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["rows", "index", "fixed", "view", "table", "doubles", "square"]


@dataclass(eq=False)
class Buffer:
    """Memory that calls read and write.

    ``rows``: ``rows_per_sample`` rows of ``cols`` for each sample, ``stride`` elements apart;
    ``index``: int32 class indices; ``fixed``: an existing array (parameters, gradients);
    ``view``: another buffer's memory under another shape, of a table ``rows_per_sample`` rows in
    all; ``table``: ``rows`` rows whatever the batch's; ``doubles``: ``cols`` float64 numbers, or so
    many for each of ``rows_per_sample`` rows of each sample where that is not 0; ``square``: as
    many rows and columns as the batch has samples.
    """

    name: str
    kind: Kind
    cols: int = 0
    stride: int = 0
    rows_per_sample: int = 1
    array: Any = None
    base: Buffer | None = None
    rows: int = 0

    def root(self) -> Buffer:
        """Return the buffer whose memory this one is."""
        return self if self.base is None else self.base.root()

    def __str__(self) -> str:
        return self.name


_UPDATES = ("moving_statistics", "constrain", "constrain_host")


@dataclass(eq=False)
class Call:
    """One kernel call. ``reads`` and ``writes`` map the kernel's argument names to buffers.

    With ``attributes["accumulate"]`` the call also reads what it writes.
    """

    kernel: str
    reads: dict[str, Buffer]
    writes: dict[str, Buffer]
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def updates(self) -> bool:
        """Whether the call changes parameters or other weights."""
        return "optimizer" in self.attributes or self.kernel in _UPDATES

    @property
    def couples_rows(self) -> bool:
        """Whether a row's result depends on the other rows of the batch."""
        return self.kernel in ("batch_norm_forward", "circle")

    @property
    def draws(self) -> bool:
        """Whether the result depends on the replay's draw."""
        return "key" in self.attributes or "dropout_key" in self.attributes

    def touches(self, buffer: Buffer) -> bool:
        """Whether the call reads or writes this memory."""
        return self.reads_from(buffer) or self.writes_to(buffer)

    def reads_from(self, buffer: Buffer) -> bool:
        """Whether the call reads this memory."""
        root = buffer.root()
        if any(other.root() is root for other in self.reads.values()):
            return True
        return bool(self.attributes.get("accumulate")) and self.writes_to(buffer)

    def writes_to(self, buffer: Buffer) -> bool:
        """Whether the call writes this memory."""
        root = buffer.root()
        return any(other.root() is root for other in self.writes.values())

    def __str__(self) -> str:
        notes = [
            f"{key}={value}"
            for key, value in self.attributes.items()
            if key not in ("optimizer", "hyper", "function") and value not in (None, False, [], 0)
            if not (value == 1 and key.endswith(("repeat", "scale")))
        ]
        arguments = ", ".join([*map(str, self.reads.values()), *notes])
        results = ", ".join(map(str, self.writes.values()))
        return f"{self.kernel}({arguments})" + (f" -> {results}" if results else "")
