/* What every instruction does: `step`, once, for all of them.
 *
 * It is always inlined. Called with constants for opcode, modifier and modes the compiler makes
 * straight code of it, called with variables it is an interpreter. Reference: pMARS 0.9.2, where it
 * and the ICWS'94 draft differ.
 */
#ifndef DEID_MARS_SEMANTICS_H
#define DEID_MARS_SEMANTICS_H

#include "kernel.h"

#if defined(__GNUC__)
#define ALWAYS static inline __attribute__((always_inline))
#define UNLIKELY(x) __builtin_expect((x), 0)
#else
#define ALWAYS static inline
#define UNLIKELY(x) (x)
#endif

/* Opcode, modifier, A-mode and B-mode as one number. */
#define TUPLE(op, mod, am, bm) ((unsigned)(op) << 9 | (unsigned)(mod) << 6 | (am) << 3 | (bm))
#define TUPLE_OP(t) ((t) >> 9 & 31)
#define TUPLE_MOD(t) ((t) >> 6 & 7)
#define TUPLE_A(t) ((t) >> 3 & 7)
#define TUPLE_B(t) ((t) & 7)

/* A core address, a number, or a sum of two: as wide as a pointer, which saves conversions. */
typedef size_t word;

/* What a turn needs of its battle, held in registers by the loop. */
typedef struct {
    mars_cell *core;
    word size;
    uint16_t *ring;
    word mask;
    const mars_battle *m;
    mars_recorder *recorder; /* a constant NULL outside trace mode */
} view;

/* An operand register: the cell it points at as it was when the operand was evaluated. */
typedef struct {
    word at, a, b;
    uint32_t insn;
} operand;

/* (x + y) mod size, for x and y below size. Both candidates are computed side by side. */
ALWAYS word plus(word x, word y, word size)
{
    word sum = x + y, wrapped = x - size + y;
    return (ptrdiff_t)wrapped < 0 ? sum : wrapped;
}

ALWAYS word minus(word x, word y, word size)
{
    word difference = x - y;
    return (ptrdiff_t)difference < 0 ? difference + size : difference;
}

ALWAYS word after(word x, word size)
{
    return x + 1 == size ? 0 : x + 1;
}

ALWAYS word before(word x, word size)
{
    return (x == 0 ? size : x) - 1;
}

/* Put an address into the first free column of a trace row. */
ALWAYS void note(int32_t *row, int columns, word address)
{
    for (int i = 0; i < columns; i++)
        if (row[i] < 0) {
            row[i] = (int32_t)address;
            return;
        }
}

ALWAYS void note_write(const view *v, word address)
{
    if (v->recorder)
        note(v->recorder->written + v->recorder->rows * MARS_WRITES, MARS_WRITES, address);
}

ALWAYS operand fetch(const view *v, word at)
{
    const mars_cell *cell = &v->core[at];
    operand o = {at, cell->a, cell->b, cell->insn};
    return o;
}

/* Evaluate one operand of the instruction ir at pc. */
ALWAYS operand evaluate(const view *v, word pc, mars_cell ir, word number, unsigned mode)
{
    if (mode == IMMEDIATE) {
        operand o = {pc, ir.a, ir.b, ir.insn};
        return o;
    }
    const word pointer = plus(pc, number, v->size);
    if (mode == DIRECT)
        return fetch(v, pointer);
    uint16_t *const field = mode >= A_INDIRECT ? &v->core[pointer].a : &v->core[pointer].b;
    word offset = *field;
    if (mode == A_DECREMENT || mode == B_DECREMENT) {
        offset = before(offset, v->size);
        *field = (uint16_t)offset;
        note_write(v, pointer);
    }
    const operand o = fetch(v, plus(pointer, offset, v->size));
    if (mode == A_INCREMENT || mode == B_INCREMENT) {
        *field = (uint16_t)after(offset, v->size);
        note_write(v, pointer);
    }
    return o;
}

ALWAYS void enqueue(const view *v, mars_warrior *w, word turn, word address)
{
    v->ring[(turn + w->reach) & v->mask] = (uint16_t)address;
    w->covered[address] = 1;
    if (v->recorder)
        note(v->recorder->queued + v->recorder->rows * MARS_QUEUED, MARS_QUEUED, address);
}

ALWAYS word pspace_read(const view *v, const mars_warrior *w, word number)
{
    const uint32_t index = (uint32_t)number % v->m->pspace_size;
    return index ? w->pspace[index] : w->last_result;
}

ALWAYS void pspace_write(const view *v, mars_warrior *w, word number, word value)
{
    const uint32_t index = (uint32_t)number % v->m->pspace_size;
    *(index ? &w->pspace[index] : &w->last_result) = (uint16_t)value;
}

/* The number x of the target after op with y. */
ALWAYS uint16_t arithmetic(unsigned op, word x, word y, word size)
{
    switch (op) {
    case MOV:
        return (uint16_t)y;
    case ADD:
        return (uint16_t)plus(x, y, size);
    case SUB:
        return (uint16_t)minus(x, y, size);
    case MUL:
        return (uint16_t)((uint32_t)x * (uint32_t)y % (uint32_t)size);
    case DIV:
        return (uint16_t)((uint32_t)x / (uint32_t)y);
    default:
        return (uint16_t)((uint32_t)x % (uint32_t)y);
    }
}

/* Execute the instruction at pc for warrior w. Non-zero: its last process has died. Where MOV.I
 * wrote, `*target_at` tells. */
ALWAYS int step(const view *v, mars_warrior *w, word turn, word pc, unsigned op, unsigned mod,
                unsigned a_mode, unsigned b_mode, word *target_at)
{
    const mars_cell ir = v->core[pc];
    const operand a = evaluate(v, pc, ir, ir.a, a_mode);
    const operand b = evaluate(v, pc, ir, ir.b, b_mode);
    /* Which numbers of the target the modifier concerns, and what meets each of them. */
    const int on_a = mod != MOD_B && mod != MOD_AB, on_b = mod != MOD_A && mod != MOD_BA;
    const word for_a = mod == MOD_BA || mod == MOD_X ? a.b : a.a;
    const word for_b = mod == MOD_AB || mod == MOD_X ? a.a : a.b;
    mars_cell *const target = &v->core[b.at];
    *target_at = b.at;
    word to = after(pc, v->size);

    switch (op) {
    case MOV:
        if (mod == MOD_I)
            target->insn = a.insn;
        /* fall through */
    case ADD:
    case SUB:
    case MUL:
        if (on_a)
            target->a = arithmetic(op, b.a, for_a, v->size);
        if (on_b)
            target->b = arithmetic(op, b.b, for_b, v->size);
        note_write(v, b.at);
        break;
    case DIV:
    case MOD:
        if (on_a && for_a)
            target->a = arithmetic(op, b.a, for_a, v->size);
        if (on_b && for_b)
            target->b = arithmetic(op, b.b, for_b, v->size);
        if ((on_a && for_a) || (on_b && for_b))
            note_write(v, b.at);
        if ((on_a && !for_a) || (on_b && !for_b))
            goto dies;
        break;
    case JMZ:
        if ((!on_a || b.a == 0) && (!on_b || b.b == 0))
            to = a.at;
        break;
    case JMN:
        if ((on_a && b.a != 0) || (on_b && b.b != 0))
            to = a.at;
        break;
    case DJN: /* memory is decremented, the register is tested */
        if (on_a)
            target->a = (uint16_t)before(target->a, v->size);
        if (on_b)
            target->b = (uint16_t)before(target->b, v->size);
        note_write(v, b.at);
        if ((on_a && b.a != 1) || (on_b && b.b != 1))
            to = a.at;
        break;
    case CMP:
    case SEQ:
    case SNE: {
        const int equal = (!on_a || b.a == for_a) & (!on_b || b.b == for_b) &
                          (mod != MOD_I || a.insn == b.insn);
        if (equal == (op != SNE))
            to = plus(pc, 2, v->size);
        break;
    }
    case SLT:
        if ((!on_a || for_a < b.a) & (!on_b || for_b < b.b))
            to = plus(pc, 2, v->size);
        break;
    case JMP:
        to = a.at;
        break;
    case SPL:
        enqueue(v, w, turn, to);
        if (w->reach < v->m->reach_max) {
            w->reach += v->m->alive;
            w->spawned++;
            enqueue(v, w, turn, a.at);
        }
        return 0;
    case DAT:
    dies:
        w->reach -= v->m->alive;
        return w->reach == 0;
    case NOP:
        break;
    case LDP:
        if (mod == MOD_A || mod == MOD_BA)
            target->a = (uint16_t)pspace_read(v, w, for_a);
        else
            target->b = (uint16_t)pspace_read(v, w, mod == MOD_AB ? a.a : a.b);
        note_write(v, b.at);
        break;
    case STP:
        if (mod == MOD_A || mod == MOD_BA)
            pspace_write(v, w, b.a, for_a);
        else
            pspace_write(v, w, b.b, mod == MOD_AB ? a.a : a.b);
        break;
    }
    enqueue(v, w, turn, to);
    return 0;
}

/* The same for any instruction: the handler of those that have none of their own. */
ALWAYS int step_any(const view *v, mars_warrior *w, word turn, word pc, word *target_at)
{
    const uint32_t tuple = v->core[pc].tuple;
    return step(v, w, turn, pc, TUPLE_OP(tuple), TUPLE_MOD(tuple), TUPLE_A(tuple), TUPLE_B(tuple),
                target_at);
}

#endif
