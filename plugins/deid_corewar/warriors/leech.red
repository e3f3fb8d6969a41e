;redcode-94
;name leech
;author deid
;family mixed
;cores 8000 800
;strategy Vampire: plants jumps to a pit, where captured processes split without end and do no
;strategy harm any more; a clear ends the game.
;assert CORESIZE % 20 == 0
step    EQU (CORESIZE/5+20)     ; a multiple of 20 only: the code lies between the hits
first   EQU (last-gate+2)

gate    DAT.F  #first, #0
dust    DAT.F  #first, #0
bite    MOV.I  fang, @fang
        ADD.F  pace, fang
        DJN.B  bite, #CORESIZE/20
        SPL.B  #0, }gate
sweep   MOV.I  dust, }gate
last    DJN.F  sweep, }gate
pace    DAT.F  #-step, #step
fang    JMP.B  pit-step-9, #step+9
        FOR    4
        DAT.F  #0, #0
        ROF
pit     SPL.B  #0, <pit-40
        SPL.B  -1, <pit-40
        JMP.B  pit
        ORG    bite
        END
