;redcode-94
;name pepper
;author deid
;family bombers
;cores 8000 800
;strategy Bombs in two directions at once with one pointer pair; the jump back keeps an imp
;strategy gate some way below.
;assert CORESIZE % 16 == 0
step    EQU (CORESIZE/5+16)       ; a multiple of 16 only: the code lies between the hits

grind   MOV.I  grain, *mill
        MOV.I  grain, @mill
        ADD.F  pace, mill
        JMP.B  grind, <grind-60
mill    DAT.F  #8, #-12
pace    DAT.F  #step, #-step
grain   DAT.F  #7, #9
        ORG    grind
        END
