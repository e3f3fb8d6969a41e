;redcode-94
;name broom
;author deid
;family clears
;cores 8000 800
;strategy Core clear: many processes write DATs upwards from behind the code until they reach
;strategy the pointer, whose replacement starts the next lap. The pointer is an imp gate: an
;strategy imp that writes there sets the A-field to 0, and the next DAT falls on the imp.
;assert 1
first   EQU (last-gate+2)

gate    DAT.F  #first, #0
        FOR    4
        DAT.F  #0, #0
        ROF
dust    DAT.F  #first, #0
mint    SPL.B  #0, }gate
sweep   MOV.I  dust, }gate
last    DJN.F  sweep, }gate
        ORG    mint
        END
