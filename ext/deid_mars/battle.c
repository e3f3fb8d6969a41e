/* Battles around the kernel's loop: workspace, loading, results, and batches for threads. */
#include "kernel.h"

#include <stdlib.h>
#include <string.h>

/* Fill a core with DAT.F $0, $0: what is filled is copied behind itself, so that it doubles. */
static void clear(mars_cell *core, size_t size)
{
    core[0] = mars_encode(DAT, MOD_F, DIRECT, 0, DIRECT, 0);
    for (size_t done = 1; done < size; done *= 2)
        memcpy(core + done, core, (done < size - done ? done : size - done) * sizeof(mars_cell));
}

static void load(mars_battle *m, const int32_t *positions, uint32_t first)
{
    clear(m->core, m->core_size);
    memset(m->covered, 0, (size_t)m->warriors * m->core_size);
    for (uint32_t i = 0; i < m->warriors; i++) {
        const mars_program *p = &m->programs[i];
        const uint32_t position = (uint32_t)positions[i];
        const uint32_t room = m->core_size - position;
        const uint32_t head = p->length < room ? p->length : room;
        memcpy(m->core + position, p->code, head * sizeof(mars_cell));
        memcpy(m->core, p->code + head, (p->length - head) * sizeof(mars_cell));
        mars_warrior *w = &m->all[i];
        w->next = &m->all[(i + 1) % m->warriors];
        w->reach = m->warriors;
        w->spawned = w->executed = w->death = 0;
        m->ring[(i + m->warriors - first) % m->warriors] =
            (uint16_t)((position + p->start) % m->core_size);
    }
    m->alive = m->to_move = m->warriors;
    m->reach_max = m->processes_max * m->alive;
    m->cycle = 1;
    m->turn = 0;
    m->end = (uint64_t)m->cycles_max * m->warriors;
    m->mover = &m->all[first];
}

int mars_open(mars_battle *m, const mars_batch *batch)
{
    const size_t n = batch->warriors;
    uint64_t slots = 1;
    while (slots < (uint64_t)n * batch->processes_max)
        slots *= 2;
    *m = (mars_battle){.core_size = batch->core_size,
                       .processes_max = batch->processes_max,
                       .pspace_size = batch->pspace_size,
                       .warriors = batch->warriors,
                       .cycles_max = batch->cycles_max,
                       .programs = batch->programs,
                       .ring_mask = slots - 1};
    m->core = malloc(m->core_size * sizeof(mars_cell));
    m->ring = malloc(slots * sizeof(uint16_t));
    m->covered = malloc(n * m->core_size);
    m->pspaces = malloc(n * m->pspace_size * sizeof(uint16_t));
    m->all = malloc(n * sizeof(mars_warrior));
    if (!m->core || !m->ring || !m->covered || !m->pspaces || !m->all) {
        mars_close(m);
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        m->all[i].covered = m->covered + i * m->core_size;
        m->all[i].pspace = m->pspaces + (size_t)m->programs[i].pspace_owner * m->pspace_size;
    }
    mars_forget(m);
    return 0;
}

void mars_close(mars_battle *m)
{
    free(m->core);
    free(m->ring);
    free(m->covered);
    free(m->pspaces);
    free(m->all);
    m->core = NULL;
    m->ring = NULL;
    m->covered = NULL;
    m->pspaces = NULL;
    m->all = NULL;
}

void mars_forget(mars_battle *m)
{
    memset(m->pspaces, 0, (size_t)m->warriors * m->pspace_size * sizeof(uint16_t));
    for (uint32_t i = 0; i < m->warriors; i++)
        m->all[i].last_result = (uint16_t)(m->core_size - 1);
}

void mars_fight(mars_battle *m, const int32_t *positions, uint32_t first, int ending,
                mars_recorder *recorder)
{
    load(m, positions, first);
    mars_run(m, ending, recorder);
}

/* Sum of bytes that are 0 or 1, eight at a time. */
static int64_t count(const uint8_t *bytes, size_t length)
{
    int64_t total = 0;
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        total += (int64_t)(word * 0x0101010101010101u >> 56);
    }
    for (; i < length; i++)
        total += bytes[i];
    return total;
}

void mars_report(const mars_battle *m, const mars_results *results, int64_t battle)
{
    for (uint32_t i = 0; i < m->warriors; i++) {
        const mars_warrior *w = &m->all[i];
        const int64_t cell = battle * m->warriors + i;
        results->death[cell] = w->death;
        results->spawned[cell] = w->spawned;
        results->covered[cell] = count(w->covered, m->core_size);
        results->executed[cell] = w->executed;
    }
}

static int64_t take(mars_batch *batch)
{
#if defined(__GNUC__)
    return __atomic_fetch_add(&batch->taken, 1, __ATOMIC_RELAXED);
#else
    return batch->taken++; /* one thread only */
#endif
}

int mars_work(mars_batch *batch)
{
    mars_battle m;
    if (mars_open(&m, batch) < 0)
        return -1;
    for (int64_t i = take(batch); i < batch->battles; i = take(batch)) {
        if (!batch->keep_pspace)
            mars_forget(&m);
        mars_fight(&m, batch->positions + i * batch->warriors, (uint32_t)batch->first[i],
                   batch->ending, NULL);
        mars_report(&m, &batch->results, i);
    }
    mars_close(&m);
    return 0;
}
