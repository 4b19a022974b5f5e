"""What kvproto uses of its compiled module, which csrc/native/bind.py generates."""

from typing import Literal, overload

from typing_extensions import Buffer

class Data:
    """A pointer, or an array."""

class Size:
    """size_t *"""

    def __getitem__(self, index: int) -> int: ...

class Walker:
    """disco_walker *, see disco.h."""

    field_offset: int
    list_offset: int
    n_pairs: int
    n_lists: int
    num_pairs: int
    pairs_left: int
    wanted: int
    had: int
    max_item: int
    field: int
    with_lists: int
    in_list: int

class Ffi:
    NULL: Data
    @overload
    def new(self, cdecl: Literal["disco_walker *"]) -> Walker: ...
    @overload
    def new(self, cdecl: Literal["size_t *"]) -> Size: ...
    @overload
    def new(self, cdecl: Literal["char[]"], init: bytes) -> Data: ...
    def from_buffer(self, buffer: Buffer) -> Data: ...

class Lib:
    DISCO_TOO_LARGE: int
    def disco_walk_start(self, walker: Walker, with_lists: bool, max_item: int) -> None: ...
    def disco_walk(
        self, walker: Walker, data: Data, n_bytes: int, pairs: Data, n_pair_bytes: Size
    ) -> int: ...
    def kvproto_export(self, dict_id: int) -> int: ...
    def kvproto_remove_tree(self, path: Data) -> int: ...

ffi: Ffi
lib: Lib
