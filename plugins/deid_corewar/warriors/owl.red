;redcode-94
;name owl
;author deid
;family scanners
;cores 8000 800
;strategy Compares two halves of the core and buries what it finds under SPLs that split in
;strategy place, so that whoever runs into them is stunned. After a lap DATs clear the core.
;assert CORESIZE % 32 == 0
step    EQU (CORESIZE/5+16)     ; a multiple of 16 only: the code lies between the looks
first   EQU 14

claw    DAT.F  #first, #0
perch   MOV.I  stun, }claw
        ADD.F  stride, eye
eye     SEQ.I  12+16+CORESIZE/2, 8+16
        MOV.BA eye, claw
        DJN.B  perch, #CORESIZE/16
stride  SPL.B  #step, }step
sweep   MOV.I  dust, }claw
        DJN.F  sweep, }claw
stun    SPL.B  #first, #0
dust    DAT.F  #first, #0
        ORG    perch
        END
