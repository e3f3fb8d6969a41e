;redcode-94
;name heron
;author deid
;family scanners
;cores 8000 800
;strategy Looks at one cell a turn in long strides until one is not empty, then aims the
;strategy DATs there that it keeps on dropping, one a turn.
;assert CORESIZE % 16 == 0
step    EQU (CORESIZE/5+16)       ; a multiple of 16 only: the code lies between the looks
first   EQU 12

beak    DAT.F  #first, #0
wade    MOV.I  fish, }beak
        ADD.AB #step, eye
eye     JMZ.F  wade, 10+step
        MOV.BA eye, beak
        DJN.B  wade, #CORESIZE/100
        SPL.B  #0, }beak
        MOV.I  fish, }beak
        DJN.F  -1, }beak
fish    DAT.F  #first, #0
        ORG    wade
        END
