;redcode-94
;name mason
;author deid
;family bombers
;cores 8000 800
;strategy Lays a grid of DATs, two in every loop, counts the loops, and when the grid is
;strategy complete sweeps the rest of the core with a clear behind an imp gate.
;assert CORESIZE % 16 == 0
step    EQU (CORESIZE/5+16)     ; a multiple of 16 only
loops   EQU (CORESIZE/16)
first   EQU (last-gate+2)

gate    DAT.F  #first, #0
        FOR    2
        DAT.F  #0, #0
        ROF
dust    DAT.F  #first, #0
aim     DAT.F  #-8, #-6
lay     MOV.I  dust, *aim
        MOV.I  dust, @aim
        ADD.F  stride, aim
        DJN.B  lay, #loops
stride  SPL.B  #step, }step
sweep   MOV.I  dust, }gate
last    DJN.F  sweep, }gate
        ORG    lay
        END
