;redcode-94
;name carpet
;author deid
;family bombers
;cores 8000 800
;strategy Rolls a carpet of DATs over the core, cell after cell and two in every loop. When it
;strategy comes home, the bomb that falls on the pointer winds it back to the start.
;assert CORESIZE > 100
start   EQU 6

bomb    DAT.F  #0, #start
roll    MOV.I  bomb, >bomb
        MOV.I  bomb, >bomb
        JMP.B  roll, <bomb-7
        ORG    roll
        END
