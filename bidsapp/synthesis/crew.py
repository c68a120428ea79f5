"""Several processes that train together: the first one leads, the others follow it through its trainings.

All else, from gathering visits to the last table, the first does alone, as if there were no others. What they need
it tells them: the pairs that are learned from, which they read for themselves, and each function that is to be
called by all. Between two such orders they wait.
"""

from __future__ import annotations

import functools
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from torch import distributed

from bidsapp.records import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from bidsapp.records import Pair
    from bidsapp.synthesis.sampling import TrainingVolume

    # Makes training volumes of pairs, given the features that a network reads and whether sources may miss.
    Hold = Callable[[Sequence[Pair], Sequence[str], bool], AbstractContextManager[list[TrainingVolume]]]

P = ParamSpec("P")
T = TypeVar("T")

# Within a step processes wait for each other; for an order while the first fits and measures other things.
STEP = timedelta(minutes=10)
ORDER = timedelta(days=2)


class Crew(Fabric):  # type: ignore[misc]
    """The Fabric of a process that trains together with others, which all must make one.

    Parameters
    ----------
    **options
        Of Fabric: accelerator, devices, nodes, precision, and the environment that says which process this is.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(strategy=DDPStrategy(timeout=STEP), **options)
        self.launch()
        # Of its own, and by gloo on GPUs, too: a process that waits shall not keep one busy.
        self.orders = distributed.new_group(backend="gloo", timeout=ORDER)
        self.volumes: list[TrainingVolume] = []
        self.listening = True

    def hold(self, stored: Mapping[Pair, TrainingVolume], features: Sequence[str], *, presence: bool) -> None:
        """Let all processes hold the volumes of some pairs; returns when they do."""
        self.volumes = list(stored.values())
        self._send("hold", tuple(stored), tuple(features), presence)
        distributed.barrier(self.orders)

    @contextmanager
    def calling(self, task: Callable[..., object], arguments: Sequence[Any]) -> Iterator[None]:
        """Let the others call a function with the first one, while the block lasts.

        Parameters
        ----------
        task : callable
            A function of a module, decorated by `led`.
        arguments : sequence
            A plan, or volumes that all hold.
        """
        if self.is_global_zero:
            self._send("call", task, [a if isinstance(a, Plan) else self._numbers(a) for a in arguments])
            self.listening = False  # after an error inside nobody would hear
        yield
        self.listening = True

    def dismiss(self) -> None:
        """Let the others end, and be alone."""
        if self.listening and distributed.is_initialized():
            self._send("end")
            distributed.destroy_process_group()
        self.listening = False

    def follow(self, hold: Hold) -> None:
        """Do what the first process says, until it dismisses this one.

        Parameters
        ----------
        hold : callable
            Makes the volumes, in the order of the pairs.
        """
        with ExitStack() as held:
            while True:
                match self._send():
                    case "hold", pairs, features, presence:
                        held.close()
                        self.volumes = held.enter_context(hold(pairs, features, presence))
                        distributed.barrier(self.orders)
                    case "call", task, arguments:
                        given = (a if isinstance(a, Plan) else [self.volumes[n] for n in a] for a in arguments)
                        task(*given, self)
                    case _:
                        break
        distributed.destroy_process_group()

    def _send(self, *order: Any) -> tuple[Any, ...]:
        """Send an order to all, or receive it."""
        box = [order]
        distributed.broadcast_object_list(box, src=0, group=self.orders)
        return box[0]

    def _numbers(self, volumes: Sequence[TrainingVolume]) -> list[int]:
        places = {id(volume): number for number, volume in enumerate(self.volumes)}
        return [places[id(volume)] for volume in volumes]


@contextmanager
def leading(fabric: Fabric) -> Iterator[Fabric]:
    """Dismiss those who follow when the block ends, also by an error."""
    try:
        yield fabric
    finally:
        dismiss(fabric)


def hold(
    fabric: Fabric, stored: Mapping[Pair, TrainingVolume], features: Sequence[str], *, presence: bool
) -> None:
    """Let those who follow hold the volumes that are learned from, where there are any."""
    if isinstance(fabric, Crew):
        fabric.hold(stored, features, presence=presence)


def dismiss(fabric: Fabric) -> None:
    """Dismiss those who follow, where there are any."""
    if isinstance(fabric, Crew):
        fabric.dismiss()


def led(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function of which `Crew` is an argument, after plan and volumes, be called by all of the crew."""

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        place = next((number for number, a in enumerate(args) if isinstance(a, Crew)), None)
        if place is None:
            return function(*args, **kwargs)
        crew: Any = args[place]
        with crew.calling(called, args[:place]):
            return function(*args, **kwargs)

    return called
