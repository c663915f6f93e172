/* Random draws, counter-based: the same functions as in draws.py; included by kernel.h. */

#define NC_GOLDEN 0x9E3779B9u
#define NC_PLANE_STRIDE 2048u

NC_INLINE uint64_t nc_mix64(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

NC_INLINE uint64_t nc_tick_key(uint64_t core_key, int64_t tick, uint64_t purpose) {
    uint64_t ticked = nc_mix64(core_key + (uint64_t)tick * 0x9E3779B97F4A7C15ull);
    return nc_mix64(ticked + purpose * 0xDA942042E4DD58B5ull);
}

/* Words of either type: plain, or eight at a time. */
#define NC_SCRAMBLE(x, high)                   \
    do {                                       \
        x = (x ^ (x >> 16)) * 0x21F0AAADu + high; \
        x = (x ^ (x >> 15)) * 0xD35A2D97u;     \
        x = x ^ (x >> 15);                     \
    } while (0)

NC_INLINE uint32_t nc_word(uint32_t low, uint32_t high, uint32_t index) {
    uint32_t x = index * NC_GOLDEN + low;
    NC_SCRAMBLE(x, high);
    return x;
}
