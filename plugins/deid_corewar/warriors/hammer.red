;redcode-94
;name hammer
;author deid
;family bombers
;cores 8000 800
;strategy The plain bomber: one DAT on every fourth cell in long strides. The last one of a
;strategy lap lands on the bomb itself, which changes nothing.
;assert CORESIZE % 4 == 0
step    EQU (CORESIZE/5+4)

swing   ADD.AB #step, bomb
        MOV.I  bomb, @bomb
        JMP.B  swing
bomb    DAT.F  #0, #step
        ORG    swing
        END
