;redcode-94
;name anvil
;author deid
;family bombers
;cores 8000
;strategy A small stone: the bombing instruction is its own pointer, and the increment is also the
;strategy splitter. It throws what it finds in a far cell, which is an empty DAT at first.
;assert CORESIZE == 8000
step    EQU 2365

face    SPL.B  #step, <step
strike  MOV.I  >-step, step+1
        ADD.AB face, strike
        DJN.F  strike, <strike-1151
        ORG    face
        END
