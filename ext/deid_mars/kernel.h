/* The MARS kernel: one battle, or a batch of them, on integers only.
 *
 * Nothing here is global but constant tables, nothing draws random numbers, nothing allocates
 * while a battle runs. Every array belongs to the caller or to a `mars_battle`, so any number of
 * threads may work side by side, each with a `mars_battle` of its own.
 */
#ifndef DEID_MARS_KERNEL_H
#define DEID_MARS_KERNEL_H

#include <stddef.h>
#include <stdint.h>

enum mars_opcode {
    MOV, ADD, SUB, MUL, DIV, MOD, JMZ, JMN, DJN, CMP, SLT, SPL, DAT, JMP, SEQ, SNE, NOP, LDP, STP,
    MARS_OPCODES
};
enum mars_modifier { MOD_A, MOD_B, MOD_AB, MOD_BA, MOD_F, MOD_X, MOD_I, MARS_MODIFIERS };
enum mars_mode {
    IMMEDIATE, DIRECT, B_INDIRECT, B_DECREMENT, B_INCREMENT, A_INDIRECT, A_DECREMENT, A_INCREMENT,
    MARS_MODES
};
enum mars_ending {
    LAST_CYCLE,    /* run all cycles, or until nobody is left */
    ONE_SURVIVOR,  /* stop at the death that leaves one */
    PMARS,         /* the same, and every death takes one turn from the round, as pMARS counts */
    CANDIDATE      /* as LAST_CYCLE, but stop when warrior 0 has died */
};

#define MARS_SIZE_MAX 65536      /* addresses have 16 bits */
#define MARS_RING_MAX (1u << 26) /* warriors times processes; 128 MiB */
#define MARS_WRITES 3            /* most cells that one instruction writes: A, B, destination */
#define MARS_QUEUED 2            /* most processes that one instruction queues */

/* One core cell. The handler's number is set once, by mars_encode, and MOV.I copies it along with
 * the tuple; `insn` is both at once. */
typedef struct {
    uint16_t a, b;
    union {
        struct {
            uint16_t tuple, handler;
        };
        uint32_t insn;
    };
} mars_cell;

typedef struct mars_warrior {
    struct mars_warrior *next; /* who moves after it, among the living */
    uint8_t *covered;          /* one byte a core address: was a process ever queued there? */
    uint16_t *pspace;          /* pspace_size cells; cell 0 is `last_result` instead */
    size_t reach;              /* processes times warriors alive: from head to tail in the ring */
    uint16_t last_result;
    int64_t spawned, executed, death;
} mars_warrior;

typedef struct {
    const mars_cell *code;
    uint32_t length, start;
    uint32_t pspace_owner; /* the first warrior with which it shares its P-space */
} mars_program;

/* What trace mode records: one row a turn, for turns skip .. skip + rows_max - 1. */
typedef struct {
    int64_t skip, rows_max, rows;
    int32_t *cycle, *warrior, *address, *tuple;
    int32_t *written; /* (rows_max, MARS_WRITES), -1 = none */
    int32_t *queued;  /* (rows_max, MARS_QUEUED), -1 = none */
} mars_recorder;

typedef struct {
    uint32_t core_size, processes_max, pspace_size, warriors;
    int64_t cycles_max;
    const mars_program *programs;
    mars_cell *core;
    uint16_t *ring;
    uint8_t *covered;
    uint16_t *pspaces;
    mars_warrior *all;
    uint64_t ring_mask;
    /* Where the battle stands: as of its start, its end, or the last death. */
    uint32_t alive;
    uint32_t reach_max;     /* processes_max * alive */
    uint32_t to_move;       /* warriors that have yet to move in `cycle` */
    int64_t cycle;          /* full cycle, counted from 1, that holds turn `turn` */
    uint64_t turn, end;     /* turns executed; turn at which the battle ends */
    mars_warrior *mover;    /* who moves at `turn` */
} mars_battle;

/* Results of a batch, each (battles, warriors) in row order. */
typedef struct {
    int64_t *death, *spawned, *covered, *executed;
} mars_results;

/* One batch of battles that several threads may work on at once. */
typedef struct {
    uint32_t core_size, processes_max, pspace_size, warriors;
    int64_t cycles_max, battles;
    int ending;
    int keep_pspace; /* P-space lives on from battle to battle: one thread only */
    const mars_program *programs;
    const int32_t *positions; /* (battles, warriors) */
    const int32_t *first;     /* (battles,) */
    mars_results results;
    int64_t taken; /* battles already taken by some thread */
} mars_batch;

/* The cell of an instruction; its numbers are below core_size. */
mars_cell mars_encode(unsigned op, unsigned mod, unsigned a_mode, uint16_t a, unsigned b_mode,
                      uint16_t b);

/* The tuple op, mod, a_mode, b_mode of a cell, 6 + 3 + 3 + 3 bits. */
uint32_t mars_tuple(mars_cell cell);

/* The tuple that stands for all tuples that act like this one and so share its handler. */
uint32_t mars_canonical(uint32_t tuple);

/* Non-zero if mars_encode made the cell. */
int mars_cell_valid(mars_cell cell);

/* Workspace for battles of these settings; 0, or -1 without memory. mars_close frees it. */
int mars_open(mars_battle *m, const mars_batch *batch);
void mars_close(mars_battle *m);

/* Forget what P-space holds. */
void mars_forget(mars_battle *m);

/* Run a battle that is loaded to its end; with a recorder in trace mode. */
void mars_run(mars_battle *m, int ending, mars_recorder *recorder);

/* Load and fight one battle; with a recorder in trace mode, which gives the same results. */
void mars_fight(mars_battle *m, const int32_t *positions, uint32_t first, int ending,
                mars_recorder *recorder);

/* Copy the results of the last battle of `m` into row `battle`. */
void mars_report(const mars_battle *m, const mars_results *results, int64_t battle);

/* Take and fight battles of the batch until none is left; 0, or -1 without memory. */
int mars_work(mars_batch *batch);

/* "threaded" or "portable". */
const char *mars_dispatch(void);

#endif
