"""Inner loops of the compiler over synapses: rows in order, distinct values, runs that fit a core, homes of relay rows.

Rows are in compressed form: the synapses of neuron j are ``start[j]`` to ``start[j + 1]``. Nothing is checked here; the callers
in :mod:`neurocore.compiler` own the arrays and their meaning.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

import numpy as np


cdef inline uint64_t mixed(uint64_t word) noexcept nogil:
    """A word with its bits spread evenly: the finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9ULL
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBULL
    return word ^ (word >> 31)


# ---------------------------------------------------------------- rows


def count_rows(const int32_t[::1] target, int64_t first, int64_t[::1] count):
    """Add the number of synapses of each target to ``count[first + target]``."""
    cdef int64_t place
    for place in range(target.shape[0]):
        count[first + target[place]] += 1


def fill_rows(
    const int32_t[::1] target, const int32_t[::1] source, const int32_t[::1] weight, const uint16_t[::1] delay,
    uint8_t chance, int64_t first_target, int32_t first_source, int64_t[::1] free_place,
    int32_t[::1] sources, int32_t[::1] weights, uint16_t[::1] delays, uint8_t[::1] chances,
):
    """Write synapses into their rows; ``free_place`` [rows] is where each row goes on. One delay may stand for all."""
    cdef int64_t place, to
    cdef int64_t step = 1 if delay.shape[0] > 1 else 0
    for place in range(target.shape[0]):
        to = free_place[first_target + target[place]]
        free_place[first_target + target[place]] = to + 1
        sources[to] = first_source + source[place]
        weights[to] = weight[place]
        delays[to] = delay[place * step]
        chances[to] = chance


cdef struct Synapse:
    uint64_t key
    int32_t weight
    uint8_t chance


cdef void merge_sort(Synapse *items, Synapse *spare, int64_t n) noexcept nogil:
    """Stable, by key, bottom up."""
    cdef int64_t width = 1, low, middle, high, left, right, to
    while width < n:
        low = 0
        while low + width < n:
            middle = low + width
            high = min(middle + width, n)
            if items[middle - 1].key > items[middle].key:
                left, right, to = low, middle, low
                for to in range(low, high):
                    if right >= high or (left < middle and items[left].key <= items[right].key):
                        spare[to] = items[left]
                        left += 1
                    else:
                        spare[to] = items[right]
                        right += 1
                for to in range(low, high):
                    items[to] = spare[to]
            low = high
        width *= 2


def sort_rows(
    const int64_t[::1] start, int32_t[::1] source, int32_t[::1] weight, uint16_t[::1] delay, uint8_t[::1] chance
):
    """Sort every row by source, then delay, in place. Returns how many synapses repeat their row's one before."""
    cdef int64_t row, place, begin, end, longest = 0, repeated = 0
    cdef Synapse *items
    cdef bint ordered
    for row in range(start.shape[0] - 1):
        longest = max(longest, start[row + 1] - start[row])
    items = <Synapse *>malloc(2 * max(longest, 1) * sizeof(Synapse))
    if items == NULL:
        raise MemoryError
    for row in range(start.shape[0] - 1):
        begin, end, ordered = start[row], start[row + 1], True
        for place in range(begin + 1, end):
            if source[place] < source[place - 1] or (
                source[place] == source[place - 1] and delay[place] < delay[place - 1]
            ):
                ordered = False
                break
        if not ordered:
            for place in range(begin, end):
                items[place - begin].key = (<uint64_t>source[place] << 16) | delay[place]
                items[place - begin].weight = weight[place]
                items[place - begin].chance = chance[place]
            merge_sort(items, items + longest, end - begin)
            for place in range(begin, end):
                source[place] = <int32_t>(items[place - begin].key >> 16)
                delay[place] = <uint16_t>(items[place - begin].key & 0xFFFF)
                weight[place] = items[place - begin].weight
                chance[place] = items[place - begin].chance
        for place in range(begin + 1, end):
            repeated += source[place] == source[place - 1] and delay[place] == delay[place - 1]
    free(items)
    return repeated


def sum_repeated(
    int64_t[::1] start, int32_t[::1] source, int32_t[::1] weight, uint16_t[::1] delay, uint8_t[::1] chance,
    int64_t largest,
):
    """Add up synapses of sorted rows that have source and delay in common, and drop zero sums, in place.

    Returns the first sum with a random part and the first beyond ``largest`` as (row, delay, sum), or None; ``start`` then
    bounds the rows that are left.
    """
    cdef int64_t row, place, begin, end = 0, to = 0, total, members, random
    cdef object mixed_sum = None, large_sum = None
    for row in range(start.shape[0] - 1):
        begin, end = (end if row else start[0]), start[row + 1]
        start[row] = to
        place = begin
        while place < end:
            total, members, random = weight[place], 1, chance[place]
            while place + members < end and source[place + members] == source[place] and (
                delay[place + members] == delay[place]
            ):
                total += weight[place + members]
                random += chance[place + members]
                members += 1
            if members > 1 and random and mixed_sum is None:
                mixed_sum = (row, delay[place], total)
            if (total > largest or total < -largest) and large_sum is None:
                large_sum = (row, delay[place], total)
            if total:
                source[to], delay[to], chance[to] = source[place], delay[place], chance[place]
                weight[to] = <int32_t>total
                to += 1
            place += members
    start[start.shape[0] - 1] = to
    return mixed_sum, large_sum


def count_weights(
    const int64_t[::1] start, const int32_t[::1] weight, const uint8_t[::1] chance, int64_t begin, int64_t end, int most
):
    """How many different (weight, stochastic) each of the neurons begin..end-1 has, counted up to ``most``."""
    counts = np.zeros(end - begin, np.int64)
    cdef int64_t[::1] out = counts
    cdef int64_t *seen = <int64_t *>malloc(max(most, 1) * sizeof(int64_t))
    cdef int64_t row, place, value
    cdef int n, k
    if seen == NULL:
        raise MemoryError
    for row in range(begin, end):
        n = 0
        for place in range(start[row], start[row + 1]):
            value = 2 * <int64_t>weight[place] + chance[place]
            k = 0
            while k < n and seen[k] != value:
                k += 1
            if k == n:
                seen[n] = value
                n += 1
                if n == most:
                    break
        out[row - begin] = n
    free(seen)
    return counts


# ---------------------------------------------------------------- distinct values


def distinct(const int64_t[::1] values):
    """As ``numpy.unique(values, return_inverse=True)``, in linear time where few values differ."""
    cdef int64_t n = values.shape[0], size = 64, used = 0, place, slot, k
    cdef int64_t[::1] key_of, number_of, bigger
    inverse = np.empty(n, np.int64)
    cdef int64_t[::1] member = inverse
    numbers = np.full(size, -1, np.int64)
    keys = np.empty(size // 2 + 1, np.int64)
    number_of, key_of = numbers, keys
    for place in range(n):
        slot = <int64_t>(mixed(<uint64_t>values[place]) & <uint64_t>(size - 1))
        while number_of[slot] >= 0 and key_of[number_of[slot]] != values[place]:
            slot = (slot + 1) & (size - 1)
        if number_of[slot] < 0:
            number_of[slot], key_of[used] = used, values[place]
            used += 1
            member[place] = used - 1
            if 2 * used > size:
                size *= 4
                numbers = np.full(size, -1, np.int64)
                keys = np.concatenate([keys[:used], np.empty(size // 2 + 1 - used, np.int64)])
                number_of, key_of = numbers, keys
                for k in range(used):
                    slot = <int64_t>(mixed(<uint64_t>key_of[k]) & <uint64_t>(size - 1))
                    while number_of[slot] >= 0:
                        slot = (slot + 1) & (size - 1)
                    number_of[slot] = k
        else:
            member[place] = number_of[slot]
    found = np.asarray(keys)[:used]
    order = np.argsort(found)
    rank = np.empty(used, np.int64)
    rank[order] = np.arange(used)
    bigger = rank
    for place in range(n):
        member[place] = bigger[member[place]]
    return found[order], inverse


# ---------------------------------------------------------------- runs


cdef struct Table:
    uint64_t *signal
    int64_t *value
    int32_t *stamp
    int64_t mask
    int32_t now


cdef inline bint is_new(Table *table, uint64_t signal, int64_t value) noexcept nogil:
    """Whether the pair was not in the set, which it then is."""
    cdef int64_t slot = <int64_t>(mixed(signal ^ (<uint64_t>value << 48)) & <uint64_t>table.mask)
    while table.stamp[slot] == table.now:
        if table.signal[slot] == signal and table.value[slot] == value:
            return False
        slot = (slot + 1) & table.mask
    table.stamp[slot], table.signal[slot], table.value[slot] = table.now, signal, value
    return True


cdef class Runs:
    """Runs of neurons that read few enough signals, or signals times weights, for a core.

    A signal is a source with a delay. The arrays are those of an IntegerNetwork.
    """

    cdef const int64_t[::1] start
    cdef const int32_t[::1] source, weight
    cdef const uint16_t[::1] delay
    cdef const uint8_t[::1] chance
    cdef Table table
    cdef int64_t limit

    def __cinit__(
        self, const int64_t[::1] start, const int32_t[::1] source, const int32_t[::1] weight,
        const uint16_t[::1] delay, const uint8_t[::1] chance, int64_t limit,
    ):
        cdef int64_t size = 64
        self.start, self.source, self.weight, self.delay, self.chance = start, source, weight, delay, chance
        while size < 4 * (limit + 1):
            size *= 2
        self.limit, self.table.mask, self.table.now = limit, size - 1, 0
        self.table.signal = <uint64_t *>malloc(size * sizeof(uint64_t))
        self.table.value = <int64_t *>malloc(size * sizeof(int64_t))
        self.table.stamp = <int32_t *>malloc(size * sizeof(int32_t))
        if self.table.signal == NULL or self.table.value == NULL or self.table.stamp == NULL:
            raise MemoryError
        memset(self.table.stamp, 0, size * sizeof(int32_t))

    def __dealloc__(self):
        free(self.table.signal)
        free(self.table.value)
        free(self.table.stamp)

    cdef int64_t stretch(
        self, const int64_t[::1] order, int64_t begin, int64_t end, int64_t limit, bint by_weight, int64_t *used
    ) noexcept nogil:
        """End of the longest run from ``begin`` that reads at most ``limit`` signals; ``used`` becomes their number."""
        cdef int64_t place, synapse, before, count = 0
        cdef uint64_t signal
        cdef int64_t value = 0
        self.table.now += 1
        if self.table.now == 0x7FFFFFFF:
            memset(self.table.stamp, 0, (self.table.mask + 1) * sizeof(int32_t))
            self.table.now = 1
        for place in range(begin, end):
            before = count
            for synapse in range(self.start[order[place]], self.start[order[place] + 1]):
                signal = (<uint64_t>self.source[synapse] << 16) | self.delay[synapse]
                if by_weight:
                    value = 2 * <int64_t>self.weight[synapse] + self.chance[synapse]
                count += is_new(&self.table, signal, value)
                if count > limit:
                    used[0] = before
                    return place
        used[0] = count
        return end

    def longest(self, const int64_t[::1] order, int64_t begin, int64_t most, int64_t limit, bint by_weight):
        """Size of the longest run from ``begin`` of at most ``most`` neurons, and how many signals it reads."""
        cdef int64_t used = 0
        cdef int64_t end = self.stretch(
            order, begin, min(begin + most, order.shape[0]), min(limit, self.limit), by_weight, &used
        )
        return end - begin, used

    def count(
        self, const int64_t[::1] order, const int64_t[::1] breaks, int64_t most, int64_t limit, bint by_weight,
        int64_t enough,
    ):
        """Runs into which an order is cut, each as long as can be, and the signals of all; gives up beyond ``enough`` runs.

        Runs also end at every one of the ascending ``breaks``, of which the last is the length of the order.
        """
        cdef int64_t begin = 0, end, used = 0, total = 0, runs = 0, part = 0
        while begin < order.shape[0] and runs <= enough:
            while breaks[part] <= begin:
                part += 1
            end = self.stretch(
                order, begin, min(begin + most, breaks[part]), min(limit, self.limit), by_weight, &used
            )
            begin = max(end, begin + 1)
            total += used
            runs += 1
        return runs, total


# ---------------------------------------------------------------- relay rows


def house_rows(
    const int64_t[::1] row_start, const int64_t[::1] target_core, const int64_t[::1] home, const int64_t[::1] order,
    int64_t[::1] used, int64_t[::1] axons, int64_t n_cores, int64_t most_neurons, int64_t most_axons,
    int64_t[::1] core_of, int64_t[::1] axon_of,
):
    """Give each relay row, in the order given, its source's core, that of a target, one with other relays, or a new one.

    ``used`` and ``axons`` count what is taken per core and have room for one more core per row. Returns the number of cores.
    """
    cdef int64_t k, row, size, place, core, chosen, first_relay = n_cores, first_open = n_cores
    for k in range(order.shape[0]):
        row = order[k]
        size = row_start[row + 1] - row_start[row]
        chosen = -1
        if used[home[row]] + size <= most_neurons and axons[home[row]] < most_axons:
            chosen = home[row]
        place = row_start[row]
        while chosen < 0 and place < row_start[row + 1]:
            core = target_core[place]
            if core >= 0 and used[core] + size <= most_neurons and axons[core] < most_axons:
                chosen = core
            place += 1
        while first_open < n_cores and (used[first_open] >= most_neurons or axons[first_open] >= most_axons):
            first_open += 1
        core = max(first_open, first_relay)
        while chosen < 0 and core < n_cores:
            if used[core] + size <= most_neurons and axons[core] < most_axons:
                chosen = core
            core += 1
        if chosen < 0:
            chosen = n_cores
            n_cores += 1
        core_of[row], axon_of[row] = chosen, axons[chosen]
        used[chosen] += size
        axons[chosen] += 1
    return n_cores


# ---------------------------------------------------------------- axon types


def choose_types(
    const int64_t[::1] start, const int64_t[::1] neuron, const int64_t[::1] key, int64_t[::1] spare, int n_types,
    int64_t[::1] kind,
):
    """Give every synapse an axon type, signal by signal, so that each neuron has one key per type.

    ``start`` bounds the synapses of each signal; ``key`` is not 0; ``spare`` [neurons] counts the types that a neuron may use
    beyond one for each of its keys. Each signal takes the type that serves most of its neurons, among equals the one that most
    of them have already, until all are served.
    """
    cdef int64_t n_neurons = spare.shape[0], signal, place, begin, end, who, open_, score, best_score, possible, held
    cdef int type_, best
    chosen_array = np.zeros((n_neurons, n_types), np.int64)
    cdef int64_t[:, ::1] chosen = chosen_array
    cdef bint known, fits
    for signal in range(start.shape[0] - 1):
        begin, end = start[signal], start[signal + 1]
        open_ = end - begin
        while open_:
            best, best_score = -1, -1
            for type_ in range(n_types):
                possible = held = 0
                for place in range(begin, end):
                    if kind[place] >= 0:
                        continue
                    who = neuron[place]
                    if chosen[who, type_] == key[place]:
                        possible += 1
                        held += 1
                    elif chosen[who, type_] == 0:
                        possible += spare[who] > 0 or not has(chosen, who, key[place], n_types)
                score = possible * (end - begin + 1) + held
                if score > best_score:
                    best, best_score = type_, score
            if best_score <= 0:
                raise AssertionError("spare types suffice for all keys")
            for place in range(begin, end):
                if kind[place] >= 0:
                    continue
                who = neuron[place]
                fits = chosen[who, best] == key[place]
                if not fits and chosen[who, best] == 0:
                    known = has(chosen, who, key[place], n_types)
                    fits = not known or spare[who] > 0
                    if fits:
                        spare[who] -= known
                        chosen[who, best] = key[place]
                if fits:
                    kind[place] = best
                    open_ -= 1


cdef inline bint has(const int64_t[:, ::1] chosen, int64_t who, int64_t key, int n_types) noexcept nogil:
    """Whether a neuron has a type for the key."""
    cdef int type_
    for type_ in range(n_types):
        if chosen[who, type_] == key:
            return True
    return False


# ---------------------------------------------------------------- neurons to cores


cdef inline int64_t excess(int64_t neurons, int64_t signals, int64_t exits, const int64_t *most) noexcept nogil:
    """What a core is over its limits."""
    return max(neurons - most[0], 0) + max(signals - most[1], 0) + max(exits - most[2], 0)


cdef inline int64_t below(uint64_t *state, int64_t bound) noexcept nogil:
    """A random number of 0..bound-1: splitmix64."""
    state[0] += 0x9E3779B97F4A7C15ULL
    return <int64_t>(((mixed(state[0]) >> 32) * <uint64_t>bound) >> 32)


def regroup(
    const int64_t[::1] start, const int32_t[::1] net, const int64_t[::1] reader_start, const int32_t[::1] reader,
    const int32_t[::1] driver, int64_t[::1] exits, int32_t[::1] core, uint16_t[:, ::1] count, int64_t[:, ::1] load,
    const int64_t[::1] limits, const int64_t[::1] surprise, uint64_t[::1] random_state, int64_t n_moves,
    int64_t temperature, int64_t penalty,
):
    """Move neurons between cores so that fewer (net, core) pairs are left and no core is over its limits; annealing.

    Neuron v reads the nets ``net[start[v]:start[v + 1]]``; ``reader`` lists the neurons of each net, ``driver`` the neuron that
    drives it, or -1. ``count`` [cores, nets] says how many neurons of a core read a net, ``exits`` [neurons] how many targets
    a neuron needs, ``load`` [cores, 3] the neurons, nets and exits (at least one a neuron) of a core, which ``limits`` [3] bounds.
    ``surprise`` holds -ln of evenly spaced numbers times 1024, ``temperature`` is in 1/1024 of a pair: with whole numbers
    only, all machines agree. Returns the change of pairs.
    """
    cdef int64_t n = start.shape[0] - 1, move, place, v, w, who, a, b, e, change, over, freed, added, own, before
    cdef int64_t pairs = 0
    cdef uint64_t state = random_state[0]
    cdef const int64_t *most = &limits[0]
    for move in range(n_moves):
        v = below(&state, n)
        if start[v + 1] == start[v]:
            continue
        e = net[start[v] + below(&state, start[v + 1] - start[v])]
        w = reader[reader_start[e] + below(&state, reader_start[e + 1] - reader_start[e])]
        a, b = core[v], core[w]
        if a == b:
            continue
        freed = added = 0
        for place in range(start[v], start[v + 1]):
            freed += count[a, net[place]] == 1
            added += count[b, net[place]] == 0
        own = max(exits[v], 1)
        over = excess(load[b, 0] + 1, load[b, 1] + added, load[b, 2] + own, most)
        over += excess(load[a, 0] - 1, load[a, 1] - freed, load[a, 2] - own, most)
        over -= excess(load[a, 0], load[a, 1], load[a, 2], most) + excess(load[b, 0], load[b, 1], load[b, 2], most)
        change = added - freed + penalty * over
        if change > 0 and change * 1048576 > temperature * surprise[below(&state, surprise.shape[0])]:
            continue
        pairs += added - freed
        core[v] = <int32_t>b
        load[a, 0] -= 1
        load[b, 0] += 1
        load[a, 1] -= freed
        load[b, 1] += added
        load[a, 2] -= own
        load[b, 2] += own
        for place in range(start[v], start[v + 1]):
            e = net[place]
            who = driver[e]
            count[a, e] -= 1
            count[b, e] += 1
            change = <int64_t>(count[b, e] == 1) - <int64_t>(count[a, e] == 0)
            if who >= 0 and change:
                before = max(exits[who], 1)
                exits[who] += change
                load[core[who], 2] += max(exits[who], 1) - before
    random_state[0] = state
    return pairs


def cut_order(
    const int64_t[::1] start, const int32_t[::1] net, const int64_t[::1] order, const int64_t[::1] wanted,
    const int64_t[::1] price, const int64_t[::1] limits, int64_t core_price, int32_t[::1] core,
):
    """Cut an order of neurons into cores at the least price: ``core_price`` each, and the ``price`` [nets] of what they read.

    Neuron v reads the nets ``net[start[v]:start[v + 1]]``. ``limits`` [3] bounds the neurons, the nets and the sum of ``wanted``
    [neurons] of a core of several neurons. ``core`` [neurons] becomes the core of each. Returns the number of cores.
    """
    cdef int64_t n = order.shape[0], first = 0, end, begin, place, v, before, fresh, paid, best, n_cores, k
    # Of the runs from each place to the present one: what they read, and its price; and of all from 0 what they want.
    cdef int64_t[::1] reads = np.zeros(n, np.int64), prices = np.zeros(n, np.int64), want = np.zeros(n + 1, np.int64)
    # What the next neuron reads that the neuron at each place was the last to read, and its price.
    cdef int64_t[::1] known = np.zeros(n, np.int64), known_price = np.zeros(n, np.int64)
    cdef int64_t[::1] last = np.full(price.shape[0], -1, np.int64)
    cdef int64_t[::1] least = np.zeros(n + 1, np.int64), came_from = np.zeros(n + 1, np.int64)
    for end in range(n):
        v = order[end]
        want[end + 1] = want[end] + wanted[v]
        fresh = paid = 0
        for place in range(start[v], start[v + 1]):
            before = last[net[place]]
            if before >= first:
                known[before] += 1
                known_price[before] += price[net[place]]
            last[net[place]] = end
            fresh += 1
            paid += price[net[place]]
        least[end + 1] = 0x7FFFFFFFFFFFFFFF
        begin = end
        while begin >= first:
            fresh -= known[begin]
            paid -= known_price[begin]
            known[begin] = known_price[begin] = 0
            reads[begin] += fresh
            prices[begin] += paid
            if begin < end and (
                end + 1 - begin > limits[0] or reads[begin] > limits[1] or want[end + 1] - want[begin] > limits[2]
            ):
                break
            best = least[begin] + core_price + prices[begin]
            if best < least[end + 1]:
                least[end + 1], came_from[end + 1] = best, begin
            begin -= 1
        if begin >= first:
            for place in range(first, begin):
                known[place] = known_price[place] = 0
            first = begin + 1
    n_cores, end = 0, n
    while end > 0:
        end = came_from[end]
        n_cores += 1
    end = n
    for k in range(n_cores - 1, -1, -1):
        for place in range(came_from[end], end):
            core[order[place]] = <int32_t>k
        end = came_from[end]
    return n_cores


def match(
    const int64_t[::1] start, const int32_t[::1] neighbour, const double[::1] weight, const int64_t[::1] size,
    const int64_t[::1] order, int64_t largest, double least, int64_t[::1] partner,
):
    """Pair nodes of a graph, in the order given, each with the free neighbour that it is tied to most for its size.

    ``partner`` [n] becomes each node's partner, or itself. Pairs are at most ``largest``. A node whose free neighbours it is
    tied to by less than ``least`` (0..1) of its strongest tie stays alone. Returns the number of pairs.
    """
    cdef int64_t k, node, place, other, best, pairs = 0
    cdef double score, best_score, strongest
    for k in range(partner.shape[0]):
        partner[k] = -1
    for k in range(order.shape[0]):
        node = order[k]
        if partner[node] >= 0:
            continue
        best, best_score, strongest = node, 0.0, 0.0
        for place in range(start[node], start[node + 1]):
            other = neighbour[place]
            if other == node or size[node] + size[other] > largest:
                continue
            score = weight[place] / <double>size[other]
            strongest = max(strongest, score)
            if score > best_score and partner[other] < 0:
                best, best_score = other, score
        if best_score < least * strongest:
            best = node
        partner[node], partner[best] = best, node
        pairs += best != node
    return pairs
