/* The MARS kernel: the loop that runs a battle, and what happens when a warrior dies.
 *
 * `step` (semantics.h) holds what instructions do, once. A handler for a frequent tuple (opcode, modifier, modes; the
 * list stands in frequent.h) is a call of it with constants, from which the compiler makes straight
 * code; the handler for all others is the same call with variables. Handlers end with a jump to the
 * next turn's handler (computed goto), which they look up when they begin: a mispredicted jump is
 * then seen early. With DEID_MARS_PORTABLE, or without GNU C, one `switch` over the same list takes
 * their place.
 *
 * One ring holds the processes of all warriors: all living warriors have executed the same number
 * of turns, so the process that runs at turn t lies in slot t, and a warrior with p processes
 * appends at slot t + p * alive. A death changes the stride, so the ring is then laid out anew.
 */
#if defined(__GNUC__) && !defined(DEID_MARS_PORTABLE)
#define THREADED 1
#else
#define THREADED 0
#endif

/* Threaded, every handler must keep a jump of its own, since each predicts what follows its own
 * instruction. */
#if THREADED && !defined(__clang__)
#pragma GCC optimize("no-crossjumping", "no-gcse", "no-tree-tail-merge", "no-tree-slp-vectorize")
#endif

#include "kernel.h"

#include "frequent.h"
#include "semantics.h"

#if defined(__GNUC__)
#define NEVER static __attribute__((noinline))
#else
#define NEVER static
#endif

/* ---- instructions as numbers ---------------------------------------------------------------- */

enum handler {
    ANY,
#define X(op, mod, am, bm) H_##op##_##mod##_##am##_##bm,
    MARS_FREQUENT(X)
#undef X
    HANDLERS
};

/* An operand whose value nobody reads matters by its side effects alone. */
static unsigned idle(unsigned mode)
{
    return mode == B_DECREMENT || mode == B_INCREMENT || mode == A_DECREMENT || mode == A_INCREMENT
               ? mode
               : DIRECT;
}

uint32_t mars_canonical(uint32_t tuple)
{
    const unsigned op = TUPLE_OP(tuple), am = TUPLE_A(tuple), bm = TUPLE_B(tuple);
    unsigned mod = TUPLE_MOD(tuple);
    switch (op) {
    case DAT:
    case NOP:
        return TUPLE(op, MOD_F, idle(am), idle(bm));
    case SPL:
    case JMP:
        return TUPLE(op, MOD_B, am, idle(bm));
    case ADD:
    case SUB:
    case MUL:
    case DIV:
    case MOD:
    case SLT:
        return TUPLE(op, mod == MOD_I ? MOD_F : mod, am, bm);
    case JMZ:
    case JMN:
    case DJN:
        mod = mod == MOD_BA ? MOD_A : mod == MOD_AB ? MOD_B : mod;
        return TUPLE(op, mod == MOD_X || mod == MOD_I ? MOD_F : mod, am, bm);
    case LDP:
    case STP:
        return TUPLE(op, mod == MOD_F || mod == MOD_X || mod == MOD_I ? MOD_B : mod, am, bm);
    case CMP:
        return TUPLE(SEQ, mod, am, bm);
    default:
        return tuple;
    }
}

static unsigned handler_of(unsigned tuple)
{
    switch (mars_canonical(tuple)) {
#define X(op, mod, am, bm)         \
    case TUPLE(op, MOD_##mod, am, bm): \
        return H_##op##_##mod##_##am##_##bm;
        MARS_FREQUENT(X)
#undef X
    default:
        return ANY;
    }
}

mars_cell mars_encode(unsigned op, unsigned mod, unsigned a_mode, uint16_t a, unsigned b_mode,
                      uint16_t b)
{
    unsigned tuple = TUPLE(op, mod, a_mode, b_mode);
    mars_cell cell = {.a = a, .b = b};
    cell.tuple = (uint16_t)tuple;
    cell.handler = (uint16_t)handler_of(tuple);
    return cell;
}

uint32_t mars_tuple(mars_cell cell)
{
    return cell.tuple;
}

int mars_cell_valid(mars_cell cell)
{
    unsigned tuple = mars_tuple(cell);
    return TUPLE_OP(tuple) < MARS_OPCODES && TUPLE_MOD(tuple) < MARS_MODIFIERS &&
           tuple >> 14 == 0 && cell.handler == handler_of(tuple);
}

/* ---- deaths and endings --------------------------------------------------------------------- */

/* Lay the ring out for the living without `dead`, whose last turn is m->turn - 1. In place: with
 * the smaller stride every process moves towards the head, and the nearest moves first. */
static void close_ranks(mars_battle *m, const mars_warrior *dead)
{
    const uint32_t before_alive = m->alive + 1;
    size_t longest = 0;
    mars_warrior *w = dead->next;
    for (uint32_t k = 0; k < m->alive; k++, w = w->next)
        if (w->reach > longest)
            longest = w->reach;
    for (size_t row = 0; row * before_alive < longest; row++) {
        w = dead->next;
        for (uint32_t k = 0; k < m->alive; k++, w = w->next)
            if (row * before_alive < w->reach)
                m->ring[(m->turn + k + row * m->alive) & m->ring_mask] =
                    m->ring[(m->turn + k + row * before_alive) & m->ring_mask];
    }
    w = dead->next;
    for (uint32_t k = 0; k < m->alive; k++, w = w->next) {
        w->reach = w->reach / before_alive * m->alive;
        if (w->next == dead)
            w->next = dead->next;
    }
}

/* Move `cycle` and `to_move` on by the turns executed since they were set; m->alive warriors have
 * been taking turns all the while. */
static void catch_up(mars_battle *m, uint64_t turns)
{
    if (turns < m->to_move) {
        m->to_move -= (uint32_t)turns;
        return;
    }
    turns -= m->to_move;
    m->cycle += 1 + (int64_t)(turns / m->alive);
    m->to_move = m->alive - (uint32_t)(turns % m->alive);
}

/* Warrior w has lost its last process in turn m->turn - 1, which began `turns` - 1 turns after the
 * last death. Sets who moves next and when the battle ends. */
NEVER void bury(mars_battle *m, mars_warrior *w, uint64_t turns, int ending)
{
    catch_up(m, turns - 1);
    w->death = w->executed = m->cycle;
    uint64_t left = m->end - m->turn;
    left -= left / m->alive;
    if (ending == PMARS && left > 0) /* at 0 pMARS's counter would run on below zero */
        left--;
    m->end = m->turn + left;
    m->to_move--;
    m->alive--;
    m->mover = w->next;
    const uint32_t wanted = ending == LAST_CYCLE || ending == CANDIDATE ? 1 : 2;
    if (m->alive < wanted || (ending == CANDIDATE && w == m->all)) {
        m->end = m->turn;
        if (m->alive == 0) {
            m->mover = NULL;
            return;
        }
    }
    m->reach_max = m->processes_max * m->alive;
    close_ranks(m, w);
    if (m->to_move == 0) {
        m->cycle++;
        m->to_move = m->alive;
    }
}

/* The survivors' figures, and cell 0 of everybody's P-space, at the end of a battle. */
static void settle(mars_battle *m)
{
    mars_warrior *w = m->mover;
    for (uint32_t k = 0; k < m->alive; k++, w = w->next) {
        w->death = m->cycles_max + 1;
        w->executed = m->cycle - (k < m->to_move);
    }
    for (uint32_t i = 0; i < m->warriors; i++)
        m->all[i].last_result = m->all[i].death > m->cycles_max ? (uint16_t)m->alive : 0;
}

/* ---- the cycle loop ------------------------------------------------------------------------- */

#if THREADED

/* The turn at which the loop must stop to look: with p processes a sole warrior at `turn` comes to
 * the first one that it has yet to queue after p turns. */
static word pause_at(const mars_battle *m, const mars_warrior *w, word turn)
{
    const word ready = w->reach > 2 ? w->reach - 1 : 1;
    return m->alive > 1 || ready > m->end - turn ? m->end : turn + ready;
}

/* The handler of the next turn is looked up when a turn begins, well before the jump to it. Only
 * MOV.I can change it meanwhile, and the process that runs next is queued already, but for a sole
 * warrior, which pauses before it runs into the processes that it queues. */
#define LOOK_AHEAD label = labels[v->core[ahead].handler];
#define START                                                  \
    stop = pause_at(m, w, turn);                               \
    pc = v->ring[turn & v->mask];                              \
    ahead = w->reach > 1 ? v->ring[(turn + 1) & v->mask] : pc; \
    goto *labels[v->core[pc].handler];
#define NEXT                                                   \
    w = w->next;                                               \
    if (UNLIKELY(++turn == stop))                              \
        goto pause;                                            \
    pc = ahead;                                                \
    ahead = v->ring[(turn + 1) & v->mask];                     \
    goto *label;

NEVER void run(mars_battle *m, int ending)
{
#define X(op, mod, am, bm) [H_##op##_##mod##_##am##_##bm] = &&L_##op##_##mod##_##am##_##bm,
    static const void *const labels[HANDLERS] = {[ANY] = &&any, MARS_FREQUENT(X)};
#undef X
    const view fixed = {m->core, m->core_size, m->ring, m->ring_mask, m, NULL};
    const view *const v = &fixed;
    mars_warrior *w = m->mover;
    word turn = m->turn, end = m->end, since = turn, pc, target;
    word ahead, stop;
    const void *label;

    START
#define X(op, mod, am, bm)                                                         \
    L_##op##_##mod##_##am##_##bm:                                                  \
    LOOK_AHEAD                                                                     \
    if (UNLIKELY(step(v, w, turn, pc, op, MOD_##mod, am, bm, &target)))            \
        goto death;                                                                \
    if (op == MOV && MOD_##mod == MOD_I && UNLIKELY(target == ahead))              \
        LOOK_AHEAD                                                                 \
    NEXT
    MARS_FREQUENT(X)
#undef X
any:
    if (UNLIKELY(step_any(v, w, turn, pc, &target)))
        goto death;
    LOOK_AHEAD
    NEXT
death:
    m->turn = ++turn;
    bury(m, w, turn - since, ending);
    since = turn;
    end = m->end;
    w = m->mover;
pause:
    if (turn != end) {
        START
    }
    m->turn = turn;
    m->mover = w;
    if (m->alive)
        catch_up(m, turn - since);
}

#else

NEVER void run(mars_battle *m, int ending)
{
    const view fixed = {m->core, m->core_size, m->ring, m->ring_mask, m, NULL};
    const view *const v = &fixed;
    mars_warrior *w = m->mover;
    word turn = m->turn, since = turn, end = m->end, target;

    while (turn != end) {
        const word pc = v->ring[turn & v->mask];
        int dead;
        switch (v->core[pc].handler) {
#define X(op, mod, am, bm)                                              \
    case H_##op##_##mod##_##am##_##bm:                                  \
        dead = step(v, w, turn, pc, op, MOD_##mod, am, bm, &target);    \
        break;
            MARS_FREQUENT(X)
#undef X
        default:
            dead = step_any(v, w, turn, pc, &target);
        }
        turn++;
        if (UNLIKELY(dead)) {
            m->turn = turn;
            bury(m, w, turn - since, ending);
            since = turn;
            end = m->end;
            w = m->mover;
        } else
            w = w->next;
    }
    m->turn = turn;
    m->mover = w;
    if (m->alive)
        catch_up(m, turn - since);
}

#endif

/* The same loop with a recorder: every instruction through the general handler. */
NEVER void run_recorded(mars_battle *m, int ending, mars_recorder *recorder)
{
    uint64_t since = m->turn;
    while (m->turn != m->end) {
        const int64_t row = (int64_t)m->turn - recorder->skip;
        const int recording = row >= 0 && row < recorder->rows_max;
        const view v = {m->core, m->core_size, m->ring, m->ring_mask, m,
                        recording ? recorder : NULL};
        mars_warrior *w = m->mover;
        const word pc = v.ring[m->turn & v.mask];
        if (recording) {
            mars_battle at = *m;
            catch_up(&at, m->turn - since);
            recorder->cycle[row] = (int32_t)at.cycle;
            recorder->warrior[row] = (int32_t)(w - m->all);
            recorder->address[row] = (int32_t)pc;
            recorder->tuple[row] = v.core[pc].tuple;
        }
        word target;
        const int dead = step_any(&v, w, m->turn, pc, &target);
        if (recording)
            recorder->rows++;
        m->turn++;
        m->mover = w->next;
        if (dead) {
            bury(m, w, m->turn - since, ending);
            since = m->turn;
        }
    }
    if (m->alive)
        catch_up(m, m->turn - since);
}

/* ---- the whole of it ------------------------------------------------------------------------- */

void mars_run(mars_battle *m, int ending, mars_recorder *recorder)
{
    if (recorder)
        run_recorded(m, ending, recorder);
    else
        run(m, ending);
    settle(m);
}

const char *mars_dispatch(void)
{
    return THREADED ? "threaded" : "portable";
}
