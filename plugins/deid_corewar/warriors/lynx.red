;redcode-94
;name lynx
;author deid
;family scanners
;cores 8000 800
;strategy Compares two cells a turn in long strides and wipes one cell with a DAT meanwhile;
;strategy where the cells differ, the wiping goes on from there.
;assert CORESIZE % 16 == 0
step    EQU (CORESIZE/5+16)     ; a multiple of 16 only: the code lies between the looks
first   EQU 14

paw     DAT.F  #first, #0
stalk   MOV.I  fur, }paw
        ADD.F  stride, eye
eye     SEQ.I  10+16, 8+16
        MOV.BA eye, paw
        DJN.B  stalk, #CORESIZE/16
stride  SPL.B  #step, }step
sweep   MOV.I  fur, }paw
        DJN.F  sweep, }paw
fur     DAT.F  #first, #0
        ORG    stalk
        END
