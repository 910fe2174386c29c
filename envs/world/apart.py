"""
``Apart``: call a kernel by its address instead of copying it into each caller.

LLVM optimises whatever a kernel calls together with it, once more in every caller, and again in theirs. For large
functions at the bottom of a tower of callers that is most of the time that compiling takes. A kernel called apart is
compiled once, and only where it is needed: days without plan improvement never wait for plan improvement.

Callers read the address out of a cell, which ``Apart.bind`` fills from Python before a world is there to be called
with. An exception of the kernel reaches the caller as from any other kernel, and so does that of an empty cell.
"""

from __future__ import annotations

import ctypes
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import typeof
from numba.core import cgutils, types
from numba.extending import intrinsic

from envs.world.borrowed import Borrowed
from envs.world.records import RULES, empty_world

_cells: list[ctypes.c_void_p] = []  # machine code knows their addresses: they stay as long as the process


class Apart:
    """
    A kernel ``(world, b, *numbers) -> None``; ``call`` is its face for compiled callers, with a borrowed world.

    The address is the process's own and no part of the callers' machine code, so that this can be kept.

    Parameters
    ----------
    kernel
        Made by ``jit``.
    num_numbers
        How many whole numbers follow ``b``.
    """

    def __init__(self, kernel: Any, num_numbers: int = 0) -> None:
        self.kernel = kernel
        world = empty_world(np.zeros(1, RULES), 1, 1, 1, 1)
        self.signature = (Borrowed(typeof(world)), types.int64, *[types.int64] * num_numbers)
        function = getattr(kernel, "py_func", kernel)  # with NUMBA_DISABLE_JIT it is the function itself
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._cell = ctypes.c_void_p()
        _cells.append(self._cell)
        llvm.add_symbol(f"{self._name}.apart", ctypes.addressof(self._cell))
        self.call: Any = self._intrinsic()

    def bind(self) -> None:
        """Compile the kernel, or load its machine code, if that hasn't happened yet in this process."""
        if self._cell.value is None:
            self.kernel.compile(self.signature)
            result = self.kernel.overloads[self.signature]
            self._cell.value = result.library.get_pointer_to_function(result.fndesc.llvm_func_name)

    def _intrinsic(self) -> Any:
        name, own = self._name, self.signature
        message = (
            f"{name} isn't bound in this process. Allocate the world with envs.world.orders.allocate_world, and with "
            "the rules it is to have."
        )

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            function_type = context.call_conv.get_function_type(types.none, own)
            symbol = f"{name}.apart"
            cell = builder.module.globals.get(symbol)
            if cell is None:
                cell = ir.GlobalVariable(builder.module, function_type.as_pointer(), symbol)
            kernel = builder.load(cell)
            with builder.if_then(cgutils.is_null(builder, kernel), likely=False):
                context.call_conv.return_user_exc(builder, RuntimeError, (message,))
            cast = [context.cast(builder, *each) for each in zip(args, signature.args, own, strict=True)]
            status, _ = context.call_conv.call_function(builder, kernel, types.none, own, cast)
            with builder.if_then(status.is_error, likely=False):
                context.call_conv.return_status_propagate(builder, status)
            return context.get_dummy_value()

        def typing(args: tuple[Any, ...]) -> Any:
            fits = args[0] == own[0] and all(isinstance(number, types.Integer) for number in args[1:])
            return (types.none(*args), codegen) if fits else None

        if len(own) == 2:

            @intrinsic
            def call(typing_context: Any, world: Any, b: Any) -> Any:
                """Run the kernel on row ``b`` of a borrowed world."""
                return typing((world, b))

            return call

        @intrinsic
        def call_with_number(typing_context: Any, world: Any, b: Any, number: Any) -> Any:
            """Run the kernel on row ``b`` of a borrowed world, with a whole number."""
            return typing((world, b, number))

        return call_with_number
