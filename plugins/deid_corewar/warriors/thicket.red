;redcode-94
;name thicket
;author deid
;family mixed
;cores 8000
;strategy Paper and stone: one process starts a replicator far away, another a bomber with
;strategy wide strides on the spot.
;assert CORESIZE == 8000
step    EQU 2608                ; a multiple of 16 only

        SPL.B  throw
        SPL.B  1
        SPL.B  1
        SPL.B  1
brush   SPL.B  @0, >2749
        MOV.I  }brush, >brush
        MOV.I  thorn, >thorn
        MOV.I  {brush, <twig
twig    JMP.B  @0, >6167+8
thorn   DAT.F  <2667, {5334
        FOR    32
        DAT.F  #0, #0
        ROF
throw   MOV.I  rock, *aim
        MOV.I  rock, @aim
        ADD.F  pull, aim
        JMP.B  throw
aim     DAT.F  #8, #-12
pull    DAT.F  #step, #-step
rock    DAT.F  <1, {2
        END
