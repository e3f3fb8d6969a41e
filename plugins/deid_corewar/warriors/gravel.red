;redcode-94
;name gravel
;author deid
;family bombers
;cores 8000 800
;strategy Stone: a fountain of processes keeps two bombs a turn flying in opposite
;strategy directions; the bombs spoil what points at them.
;assert CORESIZE % 16 == 0
step    EQU (CORESIZE/5+16)     ; a multiple of 16: the code lies between the hits

mint    SPL.B  #0, <-40
blow    MOV.I  bomb, *aim
        MOV.I  bomb, @aim
move    ADD.F  stride, aim
        DJN.F  blow, <-50
aim     DAT.F  #8+step, #-12-step
stride  DAT.F  #step, #-step
bomb    DAT.F  >-1, }1
        ORG    mint
        END
