"""Cores and routes for a network as it is, dilated, or with lines: partition and routing until both agree."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocore.architecture import Architecture
from neurocore.compiler.capacity import check_neurons, check_partition, excess
from neurocore.compiler.carry import Carry, carry
from neurocore.compiler.certificate import Rewritten
from neurocore.compiler.check import IntegerNetwork, random_neurons
from neurocore.compiler.cutter import Cutter
from neurocore.compiler.dilate import Dilated, dilate
from neurocore.compiler.divide import can_recut, make_room
from neurocore.compiler.moredelay import with_all_delays
from neurocore.compiler.partition import Partition, partition
from neurocore.compiler.retiming import TightCycleError, find_blocks
from neurocore.compiler.room import first_with_room
from neurocore.compiler.route import CoreOverflowError, Encoded, route
from neurocore.compiler.routing import Routing
from neurocore.compiler.slack import CycleError, NoTimeError, next_slack, once_round
from neurocore.compiler.thermometer import Thermometer, thermometer
from neurocore.errors import FitError
from neurocore.wording import counted, setting

Array = npt.NDArray[Any]

Progress = Callable[[str, int, int], None]
"""Called with the name of a stage, the steps of it that are done, and all its steps."""
Timed = Callable[[str], AbstractContextManager[None]]
"""Measures a block as part of the stage of that name."""

MAX_REPAIRS = 40
MOST_ADVISED = 5_000_000
"""Synapses up to which a refusal says what dilation and thermometer codes would do."""

MOST_SIMULATED = 1_000_000
"""Synapses up to which a refusal says what carrying sums over would do, for which the network is run."""


@dataclass(frozen=True)
class Routed:
    """The network that goes onto cores, its partition, its routing, and the populations whose neurons get copies first.

    If the network was rewritten for its fan-in, ``rewritten`` says how and ``network`` is what it became.
    """

    network: IntegerNetwork
    parts: Partition
    urgent: frozenset[int]
    routing: Routing
    rewritten: Rewritten | None = None

    @property
    def dilated(self) -> Dilated | None:
        """How the network was dilated, if it was."""
        return self.rewritten if isinstance(self.rewritten, Dilated) else None

    @property
    def latency(self) -> int:
        """Ticks of the chip by which output spikes are late."""
        return self.routing.latency + (0 if self.dilated is None else self.dilated.latency)

    def again(self, arch: Architecture, more: Array) -> Routing:
        """The same cores, routed with so many more ticks [N] for the spikes of some neurons."""
        return route(self.network, arch, self.parts, self.urgent, more)


def fit(
    network: IntegerNetwork, arch: Architecture, *, fan_in: str, quick: bool, timed: Timed, show: Progress
) -> Routed:
    """Find cores and routes; ``fan_in`` says what becomes of a network with neurons that fit no core.

    ``quick`` looks for cores as an estimate does. Raises FitError that lists what does not fit.
    """
    try:
        return _fit(network, arch, fan_in, quick, timed, show)
    except CycleError as error:
        again = partial(_fit, arch=arch, fan_in=fan_in, quick=quick, timed=_untimed, show=unwatched)
        raise with_all_delays(network, error, again) from error


def _untimed(stage: str) -> AbstractContextManager[None]:
    return nullcontext()


def unwatched(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def _fit(network: IntegerNetwork, arch: Architecture, fan_in: str, quick: bool, timed: Timed, show: Progress) -> Routed:
    """:func:`fit`, of a network whose cycles have time."""
    rewriters: dict[str, Callable[[IntegerNetwork, Architecture], Rewritten | None]]
    rewriters = {"dilate": dilate, "thermometer": partial(_lined, thermometer), "carry": partial(_lined, carry)}
    rewritten = None
    if fan_in in rewriters:
        show(fan_in, 0, 1)
        with timed(fan_in):
            rewritten = rewriters[fan_in](network, arch)
    if isinstance(rewritten, Dilated):
        return _fit_dilated(network, rewritten, arch, quick, timed, show)
    if isinstance(rewritten, Thermometer | Carry):
        lined = rewritten.network
        n_own = len(network.populations)
        return replace(_agree(lined, Cutter(lined, arch, quick=quick), timed, show, n_own), rewritten=rewritten)
    return _fit_plain(network, arch, quick, timed, show)


def _lined(
    make: Callable[[IntegerNetwork, Architecture], Thermometer | Carry | None],
    network: IntegerNetwork,
    arch: Architecture,
) -> Thermometer | Carry | None:
    """A network with lines, if they serve it; a refusal says whether dilation would, or lines of the other kind."""
    try:
        return make(network, arch)
    except FitError as error:
        if network.n_synapses > MOST_ADVISED:
            raise
        other = _thermometer_advice if make is carry else _carry_advice
        advice = _dilation_advice(network, arch) + other(network, arch)
        if isinstance(error, CycleError):
            raise error.advised(advice) from error
        raise FitError([problem + advice for problem in error.problems]) from error


def _fit_plain(network: IntegerNetwork, arch: Architecture, quick: bool, timed: Timed, show: Progress) -> Routed:
    """:func:`_agree`; where fan-in is what does not fit, the refusal says what would help."""
    try:
        return _agree(network, Cutter(network, arch, quick=quick), timed, show, len(network.populations))
    except FitError as error:
        if not any(problem.startswith("E-FANIN") for problem in error.problems) or network.n_synapses > MOST_ADVISED:
            raise
        advice = _thermometer_advice(network, arch) + _dilation_advice(network, arch) + _carry_advice(network, arch)
        raise FitError([problem + advice * problem.startswith("E-FANIN") for problem in error.problems]) from error


def _thermometer_advice(network: IntegerNetwork, arch: Architecture) -> str:
    """What a thermometer code would take for such a network, as the end of a sentence; nothing if it is no way out."""
    try:
        lined = thermometer(network, arch, MOST_ADVISED)
    except FitError:
        return ""
    if lined is None:
        return ""
    lines = f"{counted(lined.n_lines, 'more neuron')}, which {'takes' if lined.n_lines == 1 else 'take'}"
    ticks = counted(len(lined.steps), "tick")
    return f"; or use {setting('fan_in', 'thermometer')}: exact, with {lines} {ticks}"


def _carry_advice(network: IntegerNetwork, arch: Architecture) -> str:
    """What carrying sums over would take, as the end of a sentence; nothing if it is no way out or the network is large."""
    if network.n_synapses > MOST_SIMULATED:
        return ""
    try:
        lined = carry(network, arch, MOST_ADVISED)
    except FitError:
        return ""
    return "" if lined is None else _carried(lined.n_lines)


def _carried(n_lines: int) -> str:
    return f"; or use {setting('fan_in', 'carry')}: approximate, with {counted(n_lines, 'more neuron')}"


def _dilation_advice(network: IntegerNetwork, arch: Architecture) -> str:
    """What dilation would do for a network with neurons that fit no core, as the end of a sentence."""
    try:
        dilated = dilate(network, arch)
    except FitError as error:
        return f"; {setting('fan_in', 'dilate')} is no way out: {error.problems[0].removeprefix('E-DILATE ')}"
    if dilated is None:
        return ""
    until = ", until a membrane nears its clamp" if dilated.is_counting else ""
    return f"; or use {setting('fan_in', 'dilate')}: exact{until}, 1 tick becomes {dilated.factor}"


def _fit_dilated(
    network: IntegerNetwork, dilated: Dilated, arch: Architecture, quick: bool, timed: Timed, show: Progress
) -> Routed:
    """Cores and routes of a dilated network; its ticks are made longer if cycles ask for it."""
    try:
        found = _agree(dilated.network, Cutter(dilated.network, arch, quick=quick), timed, show)
        return replace(found, rewritten=dilated)
    except NoTimeError as error:
        return fit_longer(network, dilated, error, arch, quick=quick, timed=timed, show=show)


def fit_longer(
    network: IntegerNetwork,
    dilated: Dilated,
    error: NoTimeError,
    arch: Architecture,
    *,
    quick: bool,
    timed: Timed,
    show: Progress,
) -> Routed:
    """Cores and routes of a dilated network with longer ticks than in ``dilated``, which led to the ``error``.

    Raises FitError that begins with the last such error if its ticks cannot be long enough.
    """
    least, slack = dilated.factor - dilated.slack, dilated.slack
    while True:
        slack = next_slack(slack, error)
        try:
            with timed("dilate"):
                longer = dilate(network, arch, least + slack)
            assert longer is not None, "the network needs dilation"
            found = _agree(longer.network, Cutter(longer.network, arch, quick=quick), timed, show)
            check_capacity(found, arch)
            return replace(found, rewritten=longer)
        except NoTimeError as again:
            error = again
        except FitError as other:
            longer_tick = f"with {least + slack} ticks of the chip to one of the network instead of {least}"
            raise FitError(f"{error.problems[0]}; {longer_tick}, {other.problems[0]}") from other


def _agree(network: IntegerNetwork, cutter: Cutter, timed: Timed, show: Progress, n_own: int | None = None) -> Routed:
    """Partition and route until both agree: packed cores are opened and room is made for copies where routing asks for it.

    The first ``n_own`` populations are those of the network as it was given, which refusals name; None for a dilated network.
    """
    arch = cutter.arch
    check_neurons(network, arch)
    limits: dict[int, int] = {}
    urgent: set[int] = set()
    opened: set[frozenset[int]] = set()
    missing = 1
    parts: Partition | None = None
    encoded: Encoded = {}
    for _ in range(MAX_REPAIRS):
        if parts is None:
            encoded.clear()
            with timed("partition"):
                parts = _open_cores(
                    network, partition(network, arch, limits, cutter, partial(show, "partition")), opened
                )
            check_partition(network, parts, arch)
        cycle: TightCycleError | None = None
        try:
            with timed("route"):
                routing = route(network, arch, parts, frozenset(urgent), None, partial(show, "route"), encoded)
                return Routed(network, parts, frozenset(urgent), routing)
        except CoreOverflowError as overflow:
            opened.add(frozenset(np.unique(network.population_of()[parts.members[overflow.core]]).tolist()))
        except TightCycleError as found:
            cycle, missing = found, found.missing
        if cycle is None or _loosen(cutter, parts, cycle, limits, urgent, n_own):
            parts = None
    raise NoTimeError(
        f"E-CYCLE network {network.name!r}: its cycles leave no time for the relays that its fan-out needs, in none of"
        f" {MAX_REPAIRS} ways to divide it. Raise delays on its cycles, or give its neurons fewer targets",
        missing,
    )


def _open_cores(network: IntegerNetwork, parts: Partition, opened: set[frozenset[int]]) -> Partition:
    """Divide packed cores by population where their populations cannot share axons."""
    if not opened:
        return parts
    population = network.population_of()
    members: list[Array] = []
    codes: list[str] = []
    for core, code in zip(parts.members, parts.codes, strict=True):
        mine = np.unique(population[core])
        if frozenset(mine.tolist()) in opened:
            members.extend(core[population[core] == number] for number in mine)
            codes.extend([code] * len(mine))
        else:
            members.append(core)
            codes.append(code)
    return Partition(tuple(members), tuple(codes))


def _loosen(
    cutter: Cutter,
    parts: Partition,
    cycle: TightCycleError,
    limits: dict[int, int],
    urgent: set[int],
    n_own: int | None,
) -> bool:
    """Ask for copies instead of relays on a cycle; then for cores of their own; then for emptier ones; then give up.

    Of cores of their own, those without room for copies are divided.
    Returns whether the neurons must be divided anew. An estimate goes on to the first division that seems to have room.
    """
    network, room = cutter.network, cutter.arch.core.neurons
    blocks = find_blocks(network, parts)
    on_cycle = [int(blocks.population[block]) for block in cycle.blocks]
    populations = set(on_cycle)
    if not populations <= urgent:
        urgent |= populations
        return False
    can_divide = (
        cutter.quick
        and not populations <= set(limits)
        and (can_recut(cutter, populations) or make_room(cutter, parts.members, populations))
    )
    for number in populations:
        limits[number] = limits[number] // 2 if number in limits else room
        if cutter.quick and not can_divide:
            limits[number] = first_with_room(cutter, parts, number, limits[number])
    if min(limits[number] for number in populations) == 0:
        # More time for a dilated tick is for all that is missing, however often the cycle goes round.
        steps = _own_steps(on_cycle, len(network.populations) if n_own is None else n_own)
        way, rounds = (steps, 1) if n_own is None else once_round(steps)
        missing = -(-cycle.missing // rounds)
        names = " -> ".join(repr(network.populations[number].name) for number in (*way, way[0]))
        drawing = {int(number) for number in network.population_of()[random_neurons(network)]} & populations
        random = "".join(
            f" {network.populations[number].name!r} draws random numbers, so it cannot be copied."
            for number in sorted(drawing)
        )
        raise CycleError(
            f"E-CYCLE {names} has {counted(missing, 'tick')} less delay than its relays need: neurons on it"
            f" must reach more axons than their cores have room for copies.{random}",
            missing,
            way,
            ", or give its neurons fewer targets",
        )
    return True


def _own_steps(blocks: list[int], n_own: int) -> list[int]:
    """The populations on a cycle of blocks as who wrote the network knows them: of the first ``n_own``, without lines between.

    Blocks of one population follow one another where they read the same axon; that is one step.
    """
    steps = [number for number, _ in groupby(blocks)]
    if len(steps) > 1 and steps[0] == steps[-1]:
        steps.pop()
    return [number for number in steps if number < n_own] or steps


def check_capacity(routed: Routed, arch: Architecture) -> None:
    """Raise FitError E-CAP if the chip has too few cores."""
    if routed.routing.n_cores > arch.n_cores:
        raise FitError(excess(routed.network, routed.routing, arch, arch.n_cores))
