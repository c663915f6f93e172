"""The placer's annealing kernel: swaps cores, or moves them to empty sites, with the GIL released.

It changes ``site``, ``position`` and ``occupant`` together and checks nothing: :mod:`neurocore.compiler.place` owns the
arrays, the schedule and the meaning of the cost.
"""

from libc.math cimport fabs, log
from libc.stdint cimport int32_t, int64_t, uint64_t


cdef struct Lattice:
    int32_t columns, rows
    const double *along_x
    const double *along_y


cdef inline uint64_t next_word(uint64_t *state) noexcept nogil:
    """64 random bits: splitmix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    cdef uint64_t word
    state[0] += 0x9E3779B97F4A7C15ULL
    word = state[0]
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9ULL
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBULL
    return word ^ (word >> 31)


cdef inline int32_t below(uint64_t word, int32_t bound) noexcept nogil:
    """0 .. bound - 1, from the low 32 bits of a random word."""
    return <int32_t>(((word & 0xFFFFFFFFULL) * <uint64_t>bound) >> 32)


cdef inline int32_t near(uint64_t word, int32_t centre, int32_t window, int32_t length) noexcept nogil:
    """A random coordinate at most window from centre, moved into 0 .. length - 1 if it falls outside."""
    cdef int32_t value = centre - window + below(word, 2 * window + 1)
    if value < 0:
        return 0
    return length - 1 if value >= length else value


cdef inline double shift_cost(
    int32_t core, int32_t partner, double from_x, double from_y, double to_x, double to_y,
    const int64_t[::1] first, const int32_t[::1] neighbour, const double[::1] weight, const double[:, ::1] position,
) noexcept nogil:
    """Cost of moving a core; its edge to the partner, which moves the other way, keeps its length."""
    cdef double change = 0.0
    cdef int64_t edge
    cdef int32_t other
    for edge in range(first[core], first[core + 1]):
        other = neighbour[edge]
        if other != partner:
            change += weight[edge] * (
                fabs(to_x - position[other, 0]) - fabs(from_x - position[other, 0])
                + fabs(to_y - position[other, 1]) - fabs(from_y - position[other, 1])
            )
    return change


cdef inline void settle(
    int32_t core, int32_t x, int32_t y, Lattice lattice,
    int32_t[:, ::1] site, double[:, ::1] position, int32_t[:, ::1] occupant,
) noexcept nogil:
    """Put a core on a site."""
    site[core, 0] = x
    site[core, 1] = y
    position[core, 0] = lattice.along_x[x]
    position[core, 1] = lattice.along_y[y]
    occupant[y, x] = core


def anneal(
    const int64_t[::1] first, const int32_t[::1] neighbour, const double[::1] weight, const double[::1] edge_pull,
    const double[::1] along_x, const double[::1] along_y,
    int32_t[:, ::1] site, double[:, ::1] position, int32_t[:, ::1] occupant,
    uint64_t[::1] random_state, int64_t n_moves, double temperature, int32_t window,
):
    """Try n_moves swaps at one temperature and return the change of the cost.

    The graph is symmetric, in compressed rows: ``first`` [n + 1], ``neighbour`` and ``weight`` [edges]. Site (x, y) lies at
    (``along_x[x]``, ``along_y[y]``); a pair of cores costs its weight times their distance, and a core its ``edge_pull``
    times x. ``site`` [n, 2] holds sites, ``position`` [n, 2] where they lie, ``occupant`` [rows, columns] the core of a
    site, -1 if it is empty, -2 if it must stay so. One half of the moves goes next to a neighbour, the other anywhere
    within ``window`` sites.
    """
    cdef Lattice lattice
    cdef int32_t n_cores = <int32_t>(first.shape[0] - 1)
    cdef int32_t core, partner, x, y, new_x, new_y
    cdef int64_t move, edge
    cdef uint64_t word, state = random_state[0]
    cdef double change, limit, total = 0.0
    if n_cores == 0:
        return total
    lattice.columns = <int32_t>along_x.shape[0]
    lattice.rows = <int32_t>along_y.shape[0]
    lattice.along_x = &along_x[0]
    lattice.along_y = &along_y[0]
    with nogil:
        for move in range(n_moves):
            word = next_word(&state)
            core = below(word, n_cores)
            x = site[core, 0]
            y = site[core, 1]
            # Bits 0-31 chose the core, bit 63 chooses the kind of move, the bits between a neighbour.
            if (word >> 63) and first[core + 1] > first[core]:
                edge = first[core] + below(word >> 31, <int32_t>(first[core + 1] - first[core]))
                partner = neighbour[edge]
                word = next_word(&state)
                new_x = near(word, site[partner, 0], 1, lattice.columns)
                new_y = near(word >> 32, site[partner, 1], 1, lattice.rows)
            else:
                word = next_word(&state)
                new_x = near(word, x, window, lattice.columns)
                new_y = near(word >> 32, y, window, lattice.rows)
            partner = occupant[new_y, new_x]
            if partner == core or partner == -2:
                continue
            # Accepting when change < -T log(u) is Metropolis' rule.
            limit = -temperature * log((<double>(next_word(&state) >> 11) + 1.0) * (1.0 / 9007199254740992.0))
            change = edge_pull[core] * (new_x - x) + shift_cost(
                core, partner, along_x[x], along_y[y], along_x[new_x], along_y[new_y],
                first, neighbour, weight, position,
            )
            if partner >= 0:
                change += edge_pull[partner] * (x - new_x) + shift_cost(
                    partner, core, along_x[new_x], along_y[new_y], along_x[x], along_y[y],
                    first, neighbour, weight, position,
                )
            if change > limit:
                continue
            occupant[y, x] = -1
            settle(core, new_x, new_y, lattice, site, position, occupant)
            if partner >= 0:
                settle(partner, x, y, lattice, site, position, occupant)
            total += change
    random_state[0] = state
    return total
