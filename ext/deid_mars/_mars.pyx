# cython: language_level=3, boundscheck=False, wraparound=False
"""The kernel from Python: checked arguments in, integer arrays out, the GIL released between.

The package's own modules validate what users give; the checks here are the last line that keeps
the kernel from reading outside its arrays.
"""

import threading

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free


cdef extern from "kernel.h" nogil:
    enum:
        CANDIDATE
        MARS_OPCODES
        MARS_MODIFIERS
        MARS_MODES
        MARS_SIZE_MAX
        MARS_RING_MAX
        MARS_WRITES
        MARS_QUEUED

    ctypedef struct mars_cell:
        uint16_t a, b

    ctypedef struct mars_program:
        const mars_cell *code
        uint32_t length, start, pspace_owner

    ctypedef struct mars_recorder:
        int64_t skip, rows_max, rows
        int32_t *cycle
        int32_t *warrior
        int32_t *address
        int32_t *tuple
        int32_t *written
        int32_t *queued

    ctypedef struct mars_warrior:
        mars_warrior *next
        uint16_t *pspace
        size_t reach
        uint16_t last_result

    ctypedef struct mars_results:
        int64_t *death
        int64_t *spawned
        int64_t *covered
        int64_t *executed

    ctypedef struct mars_battle:
        mars_cell *core
        uint16_t *ring
        mars_warrior *all
        uint64_t ring_mask
        uint32_t alive
        uint64_t turn
        mars_warrior *mover

    ctypedef struct mars_batch:
        uint32_t core_size, processes_max, pspace_size, warriors
        int64_t cycles_max, battles
        int ending
        int keep_pspace
        const mars_program *programs
        const int32_t *positions
        const int32_t *first
        mars_results results

    mars_cell mars_encode(unsigned op, unsigned mod, unsigned a_mode, uint16_t a,
                          unsigned b_mode, uint16_t b)
    uint32_t mars_tuple(mars_cell cell)
    uint32_t mars_canonical(uint32_t tuple)
    bint mars_cell_valid(mars_cell cell)
    int mars_open(mars_battle *m, const mars_batch *batch)
    void mars_close(mars_battle *m)
    void mars_fight(mars_battle *m, const int32_t *positions, uint32_t first, int ending,
                    mars_recorder *recorder)
    void mars_report(const mars_battle *m, const mars_results *results, int64_t battle)
    int mars_work(mars_batch *batch)
    const char *mars_dispatch()


DISPATCH = mars_dispatch().decode()
SIZE_MAX = MARS_SIZE_MAX
RING_MAX = MARS_RING_MAX


def encode(code, int size):
    """Cells, uint64 (length,), of instructions, int32 (length, 6)."""
    cdef const int32_t[:, ::1] rows = np.ascontiguousarray(code, dtype=np.int32)
    if rows.shape[1] != 6 or not 0 < size <= MARS_SIZE_MAX:
        raise ValueError("instructions have six columns, and a core at most 65536 cells")
    result = np.empty(rows.shape[0], dtype=np.uint64)
    cdef uint64_t[::1] cells = result
    cdef mars_cell *cell
    cdef Py_ssize_t i
    for i in range(rows.shape[0]):
        if not (0 <= rows[i, 0] < MARS_OPCODES and 0 <= rows[i, 1] < MARS_MODIFIERS
                and 0 <= rows[i, 2] < MARS_MODES and 0 <= rows[i, 4] < MARS_MODES
                and 0 <= rows[i, 3] < size and 0 <= rows[i, 5] < size):
            raise ValueError(f"instruction {i} has a column out of range")
        cell = <mars_cell *>&cells[i]
        cell[0] = mars_encode(rows[i, 0], rows[i, 1], rows[i, 2], <uint16_t>rows[i, 3],
                              rows[i, 4], <uint16_t>rows[i, 5])
    return result


def canonical(uint32_t number):
    """The tuple that stands for all that act like this one (opcode, modifier, modes as one)."""
    return mars_canonical(number)


cdef class Batch:
    """Battles of the same programs under the same settings, and room for their results.

    `programs` is a sequence of (cells, start, owner of the P-space); `positions` int32
    (battles, warriors); `first` int32 (battles,). Several threads may call `work` at once.
    """

    cdef mars_batch batch
    cdef mars_program *programs
    cdef const int32_t[:, ::1] positions
    cdef const int32_t[::1] first
    cdef readonly object results
    cdef object kept

    def __cinit__(self, programs, positions, first, *, int size, int64_t cycles_max,
                  int processes_max, int pspace_size, int ending, bint keep_pspace=False):
        cdef Py_ssize_t n = len(programs)
        self.positions = np.ascontiguousarray(positions, dtype=np.int32)
        self.first = np.ascontiguousarray(first, dtype=np.int32)
        if (n < 1 or not 0 < size <= MARS_SIZE_MAX or not 0 < cycles_max < 2**31 - 1
                or not 0 < processes_max <= MARS_RING_MAX // n or not 0 < pspace_size <= size
                or not 0 <= ending <= CANDIDATE or self.positions.shape[1] != n
                or self.positions.shape[0] != self.first.shape[0]):
            raise ValueError("sizes out of range or of different shapes")
        if self.first.shape[0] and not (
                np.min(positions) >= 0 and np.max(positions) < size
                and np.min(first) >= 0 and np.max(first) < n):
            raise ValueError("load positions or first movers out of range")
        self.programs = <mars_program *>calloc(n, sizeof(mars_program))
        if self.programs == NULL:
            raise MemoryError
        self.kept = [np.ascontiguousarray(cells, dtype=np.uint64) for cells, _, _ in programs]
        cdef const uint64_t[::1] cells
        cdef Py_ssize_t i, j
        cdef const mars_cell *code
        for i in range(n):
            cells = self.kept[i]
            _, start, owner = programs[i]
            if not (0 < cells.shape[0] <= size and 0 <= start < cells.shape[0] and 0 <= owner <= i):
                raise ValueError(f"program {i} is empty, too long, or starts outside itself")
            code = <const mars_cell *>&cells[0]
            for j in range(cells.shape[0]):
                if not mars_cell_valid(code[j]) or code[j].a >= size or code[j].b >= size:
                    raise ValueError(f"program {i}: cell {j} is not valid in this core")
            self.programs[i] = mars_program(code, <uint32_t>cells.shape[0], start, owner)
        cdef int64_t battles = self.first.shape[0]
        self.results = np.zeros((4, battles, n), dtype=np.int64)
        self.batch.core_size = size
        self.batch.processes_max = processes_max
        self.batch.pspace_size = pspace_size
        self.batch.warriors = <uint32_t>n
        self.batch.cycles_max = cycles_max
        self.batch.battles = battles
        self.batch.ending = ending
        self.batch.keep_pspace = keep_pspace
        self.batch.programs = self.programs
        cdef int64_t[:, :, ::1] out = self.results
        if battles:
            self.batch.positions = &self.positions[0, 0]
            self.batch.first = &self.first[0]
            self.batch.results = mars_results(&out[0, 0, 0], &out[1, 0, 0], &out[2, 0, 0],
                                              &out[3, 0, 0])

    def __dealloc__(self):
        free(self.programs)

    def work(self):
        """Fight battles until none is left. Raises MemoryError."""
        cdef int status
        with nogil:
            status = mars_work(&self.batch)
        if status < 0:
            raise MemoryError("no memory for a core and its process queues")

    def run(self, int threads):
        """Fight all battles on that many threads; int64 (4, battles, warriors)."""
        if threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        if threads > 1 and self.batch.keep_pspace:
            raise ValueError("battles that share P-space run one after the other")
        failures = []

        def work():
            try:
                self.work()
            except MemoryError as error:
                failures.append(error)

        helpers = [threading.Thread(target=work) for _ in range(min(threads, len(self.first)) - 1)]
        for helper in helpers:
            helper.start()
        work()
        for helper in helpers:
            helper.join()
        if failures:
            raise failures[0]
        return self.results

    def record(self, int64_t skip, int64_t rows_max):
        """Fight battle 0, record turns skip .. skip + rows_max - 1, and keep the last state.

        Gives (results int64 (4, 1, warriors), columns, each int32 (rows, width), core int32 (size, 6),
        P-space int32 (warriors, pspace_size), process queues); the columns are cycle, warrior,
        address, tuple, written, queued.
        """
        if len(self.first) != 1 or skip < 0 or rows_max < 0:
            raise ValueError("one battle, and no negative numbers of turns")
        cdef int64_t turns = self.batch.cycles_max * self.batch.warriors
        rows_max = max(0, min(rows_max, turns - skip))
        columns = [np.full((rows_max + 1, width), -1, dtype=np.int32)
                   for width in (1, 1, 1, 1, MARS_WRITES, MARS_QUEUED)]
        cdef int32_t[:, ::1] cycle = columns[0], warrior = columns[1], address = columns[2]
        cdef int32_t[:, ::1] tuples = columns[3], written = columns[4], queued = columns[5]
        cdef mars_recorder recorder = mars_recorder(
            skip, rows_max, 0, &cycle[0, 0], &warrior[0, 0], &address[0, 0], &tuples[0, 0],
            &written[0, 0], &queued[0, 0])
        cdef mars_battle m
        if mars_open(&m, &self.batch) < 0:
            raise MemoryError("no memory for a core and its process queues")
        try:
            with nogil:
                mars_fight(&m, &self.positions[0, 0], <uint32_t>self.first[0], self.batch.ending,
                           &recorder if rows_max > 0 else NULL)
                mars_report(&m, &self.batch.results, 0)
            return (self.results, [column[:recorder.rows] for column in columns],
                    core_of(&m, self.batch.core_size),
                    pspaces_of(&m, self.batch.warriors, self.batch.pspace_size),
                    queues_of(&m, self.batch.warriors))
        finally:
            mars_close(&m)


cdef core_of(mars_battle *m, uint32_t size):
    result = np.empty((size, 6), dtype=np.int32)
    cdef int32_t[:, ::1] rows = result
    cdef uint32_t i, t
    for i in range(size):
        t = mars_tuple(m.core[i])
        rows[i, 0] = t >> 9 & 31
        rows[i, 1] = t >> 6 & 7
        rows[i, 2] = t >> 3 & 7
        rows[i, 3] = m.core[i].a
        rows[i, 4] = t & 7
        rows[i, 5] = m.core[i].b
    return result


cdef pspaces_of(mars_battle *m, uint32_t warriors, uint32_t size):
    result = np.empty((warriors, size), dtype=np.int32)
    cdef int32_t[:, ::1] rows = result
    cdef uint32_t i, j
    for i in range(warriors):
        rows[i, 0] = m.all[i].last_result
        for j in range(1, size):
            rows[i, j] = m.all[i].pspace[j]
    return result


cdef queues_of(mars_battle *m, uint32_t warriors):
    """Per warrior the addresses of its processes, the next one to run first; [] of the dead."""
    queues = [[] for _ in range(warriors)]
    cdef mars_warrior *w = m.mover
    cdef uint32_t k
    cdef size_t slot
    for k in range(m.alive):
        slot = 0
        while slot < w.reach:
            queues[w - m.all].append(m.ring[(m.turn + k + slot) & m.ring_mask])
            slot += m.alive
        w = w.next
    return queues
