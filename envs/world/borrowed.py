"""
``borrow``: hand a named tuple of arrays through compiled code as one pointer.

Numba passes a named tuple of thirteen arrays as some 120 separate arguments and counts references of each array,
atomically, in every function it goes through: about 200 ns a call, more than most of our functions take. Compiled
entry points therefore begin with ``world = borrow(world)``; from there on one pointer travels, ``world.bookings`` reads
the array out of it, and nothing is counted. The Python caller keeps the arrays alive for as long as the call lasts.
"""

from __future__ import annotations

import hashlib
from typing import Any

from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, intrinsic, lower_getattr_generic, register_model
from numba.np.arrayobj import make_array


class Borrowed(types.Type):
    """Numba type of a pointer to a named tuple of arrays that somebody else owns."""

    def __init__(self, arrays: types.NamedTuple) -> None:
        self.arrays = arrays
        # A short name: that of the arrays lists all fields of all records, and would stand in each symbol of the code.
        digest = hashlib.sha256(arrays.name.encode()).hexdigest()[:16]
        super().__init__(name=f"Borrowed({arrays.instance_class.__name__}, {digest})")


@register_model(Borrowed)
class _BorrowedModel(models.PrimitiveModel):
    def __init__(self, data_models: Any, numba_type: Borrowed) -> None:
        super().__init__(data_models, numba_type, data_models.lookup(numba_type.arrays).get_value_type().as_pointer())


@infer_getattr
class _BorrowedAttributes(AttributeTemplate):
    key = Borrowed

    def generic_resolve(self, borrowed: Borrowed, attribute: str) -> Any:  # type: ignore[override]
        if attribute in borrowed.arrays.fields:
            return borrowed.arrays.types[borrowed.arrays.fields.index(attribute)]
        return None


@lower_getattr_generic(Borrowed)
def _load_array(context: Any, builder: Any, borrowed: Borrowed, pointer: Any, attribute: str) -> Any:
    index = borrowed.arrays.fields.index(attribute)
    loaded = builder.load(cgutils.gep_inbounds(builder, pointer, 0, index))
    array = make_array(borrowed.arrays.types[index])(context, builder, loaded)
    for owner in ("meminfo", "parent"):  # without an owner there is nothing to count
        setattr(array, owner, cgutils.get_null_value(getattr(array, owner).type))
    return array._getvalue()


@intrinsic
def _borrow(typing_context: Any, arrays: Any) -> Any:
    """The named tuple as a ``Borrowed``; a ``Borrowed`` comes back as it is."""
    if isinstance(arrays, Borrowed):
        return arrays(arrays), lambda context, builder, signature, args: args[0]
    if not isinstance(arrays, types.NamedTuple):
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return cgutils.alloca_once_value(builder, args[0])

    return Borrowed(arrays)(arrays), codegen


borrow: Any = _borrow  # called without the typing context, which type checkers can't know
