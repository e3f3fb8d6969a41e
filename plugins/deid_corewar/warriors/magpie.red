;redcode-94
;name magpie
;author deid
;family scanners
;cores 8000 800
;strategy Two looks in every loop, through a pointer pair beside the code; a find gets an SPL at
;strategy both places, which catches passing processes. Then a clear takes what is stunned.
;assert CORESIZE % 32 == 0
step    EQU (CORESIZE/5+32)     ; a multiple of 32 only
first   EQU (last-gate+2)

gate    DAT.F  #first, #0
dust    DAT.F  #first, #0
trap    SPL.B  #0, }0
east    DAT.F  #20, #20+6
hop     SNE.I  *east, @east
        ADD.F  stride, east
        SNE.I  *east, @east
        DJN.F  next, <gate-30
        MOV.I  trap, *east
        MOV.I  trap, >east
        MOV.I  trap, @east
        SUB.F  unit, east
next    ADD.F  stride, east
        DJN.B  hop, #CORESIZE/40
stride  SPL.B  #step, }step
sweep   MOV.I  dust, }gate
last    DJN.F  sweep, }gate
unit    DAT.F  #0, #1
        ORG    hop
        END
